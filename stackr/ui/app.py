"""The dashboard's screen: a table of containers, the logs or the plan below it, and the keys."""

from __future__ import annotations

import asyncio
import subprocess
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.coordinate import Coordinate
from textual.widgets import ContentSwitcher, DataTable, Input, RichLog, Static

from stackr.errors import StackrError
from stackr.planner.plan.options import UpOptions
from stackr.runtime.types import ContainerState, ContainerStats
from stackr.stack.events import StackEvent
from stackr.stack.live import LiveStack
from stackr.stack.log_lines import LogLine
from stackr.text import visible
from stackr.ui.dialogs import Ask, Confirm, Notice, key_line
from stackr.ui.feed import Feed
from stackr.ui.log_buffer import LogBuffer, LogFilter
from stackr.ui.plan_watch import Outlook, PlanWatch
from stackr.ui.rows import HEADINGS, Row, headline, style_of, table_rows
from stackr.ui.target import Target
from stackr.ui.words import event_text, failure_text, line_text, outlook_summary, outlook_text

__all__ = ["Dashboard"]

_SHOWN_LINES = 1000
_LINES_EVERY_S = 0.1


class Dashboard(App[None]):
    """target: the stack, and how it is reached."""

    TITLE = "stackr ui"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "logs", "logs"),
        Binding("slash", "search", "search", key_display="/"),
        Binding("p", "plan", "plan"),
        Binding("u", "up", "up"),
        Binding("r", "restart", "restart"),
        Binding("s", "stop", "stop/start"),
        Binding("c", "scale", "scale"),
        Binding("x", "shell", "shell"),
        Binding("q", "leave", "quit"),
        Binding("escape", "clear", show=False),
        Binding("ctrl+c,ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self._buffer = LogBuffer()
        self._feed = Feed(target.look, self, self._buffer)
        self._plan = PlanWatch(target.source, target.look, self.foresaw)
        self._containers: Sequence[ContainerState] = ()
        self._has_seen = False
        self._usage: dict[str, ContainerStats] = {}
        self._services: tuple[str, ...] = ()
        self._outlook: Outlook | None = None
        self._rows: list[Row] = []
        self._filter = LogFilter()
        self._follows_cursor = False
        self._pending: deque[LogLine] = deque(maxlen=_SHOWN_LINES)
        self._tasks: list[asyncio.Task[Any]] = []
        self._change: asyncio.Task[None] | None = None
        self._lost = ""
        self._head: tuple[str, ...] = ()
        self.fault: BaseException | None = None
        """What should not have happened, and has ended the application."""

    # --- the screen ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        with Horizontal(id="head"):
            yield Static(id="stack")
            yield Static(id="outlook")
        table: DataTable[Text] = DataTable(id="table", cursor_type="row", show_row_labels=False)
        yield table
        yield Static(id="title")
        with ContentSwitcher(initial="log"):
            yield RichLog(id="log", wrap=True, min_width=1, max_lines=_SHOWN_LINES)
            with VerticalScroll(id="plan"):
                yield Static(id="changes")
        yield Input(id="search", placeholder="search; enter keeps it, esc ends it", compact=True)
        yield Static(id="status")
        yield key_line()

    def on_mount(self) -> None:
        self._table.add_columns(*HEADINGS)
        self._table.focus()
        self._draw()
        self._draw_title()
        self.set_interval(_LINES_EVERY_S, self._show_lines)
        for work in (self._feed.run(), self._plan.run()):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def on_unmount(self) -> None:
        """Nothing goes on behind a screen that is gone."""
        tasks = [*self._tasks, *([self._change] if self._change is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fail(fault)

    def _fail(self, fault: BaseException) -> None:
        self.fault = self.fault or fault
        self.exit()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one("#table", DataTable)

    @property
    def _row(self) -> Row | None:
        """The one under the cursor."""
        at = self._table.cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    # --- what is seen ----------------------------------------------------------------------------

    def saw(self, containers: Sequence[ContainerState]) -> None:
        self._lost, self._has_seen = "", True
        if self._containers != tuple(containers):
            self._containers = tuple(containers)
            self._plan.renew()
        self._draw()

    def used(self, usage: dict[str, ContainerStats]) -> None:
        self._usage = usage
        self._draw()

    def wrote(self, line: LogLine) -> None:
        self._pending.append(line)

    def lost(self, reason: str) -> None:
        self._lost = f"{reason}; trying again"
        self._usage = {}
        self._draw()

    def foresaw(self, outlook: Outlook) -> None:
        self._outlook = outlook
        if outlook.services is not None:
            self._services = outlook.services
        self._draw()
        self._draw_plan()

    # --- drawing ---------------------------------------------------------------------------------

    def _draw(self) -> None:
        """The head, the table, and what is wrong with the connection."""
        if not self.is_running:
            return  # the screen is being taken down
        chosen = self._row
        self._rows = table_rows(self._containers, self._services, self._usage)
        self._fill([[_cell(row, text) for text in row.cells] for row in self._rows], chosen)
        state = headline(self._rows) if self._has_seen else "asking the engine"
        self._draw_head(state, outlook_summary(self._outlook))
        if self._lost:
            self._say(self._lost, "red")
        elif self._said == "red":
            self._say("")
        self._keep_filter()

    def _draw_head(self, *told: str) -> None:
        """The first line; only where it is another one, for a line by ssh may be thin."""
        if told != self._head:
            self._head = told
            state, outlook = (visible(each, one_line=True) for each in told)
            name = Text(f" {self._target.name}  ", style="bold")
            self.query_one("#stack", Static).update(name + Text(state))
            self.query_one("#outlook", Static).update(Text(f" {outlook} "))

    def _fill(self, cells: Sequence[Sequence[Text]], chosen: Row | None) -> None:
        """Put the rows in the table; the cursor stays with its container."""
        table = self._table
        keys = [row.key for row in self._rows]
        if [key.value for key in table.rows] != keys:
            table.clear()
            for key, row in zip(keys, cells, strict=True):
                table.add_row(*row, key=key)
            if chosen is not None and chosen.key in keys:
                table.move_cursor(row=keys.index(chosen.key), animate=False)
            return
        for at, row in enumerate(cells):
            for column, text in enumerate(row):
                place = Coordinate(at, column)
                if table.get_cell_at(place) != text:
                    table.update_cell_at(place, text, update_width=True)

    _said = ""

    def _say(self, text: str, style: str = "") -> None:
        """The line above the keys. style: red for what is wrong, else for what goes on."""
        self._said = style
        shown = Text(f" {visible(text, one_line=True)}" if text else "", style=style, no_wrap=True)
        self.query_one("#status", Static).update(shown)

    def _draw_title(self) -> None:
        if self._shows_plan:
            text = "what up would do"
        else:
            text = f"logs of {self._filter.container or 'all containers'}"
            if self._filter.search:
                text += f", with {self._filter.search}"
        self.query_one("#title", Static).update(Text(f" {text}"))

    def _draw_plan(self) -> None:
        if not self.is_running:
            return
        pane = self.query_one("#plan")
        text = outlook_text(self._outlook, pane.size.width or self.size.width)
        self.query_one("#changes", Static).update(text)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_plan)
        self.call_after_refresh(self._draw_log)

    @property
    def _shows_plan(self) -> bool:
        return self.query_one(ContentSwitcher).current == "plan"

    def _show(self, pane: str) -> None:
        self.query_one(ContentSwitcher).current = pane
        self._draw_title()
        self.call_after_refresh(self._draw_plan if pane == "plan" else self._draw_log)

    # --- logs ------------------------------------------------------------------------------------

    def _show_lines(self) -> None:
        """Show the lines that have come; those of a flood that nobody could read are left out."""
        if not self.is_running or self._shows_plan:
            return
        log = self.query_one("#log", RichLog)
        while self._pending:
            line = self._pending.popleft()
            if self._filter.matches(line):
                log.write(line_text(line, self._filter))

    def _choose(self, wanted: LogFilter) -> None:
        """Show the lines that match, and no others."""
        if wanted != self._filter:
            self._filter = wanted
            self._draw_log()
            self._draw_title()

    def _draw_log(self) -> None:
        """Wrap all lines anew; while the plan is shown, the log has no width."""
        if not self.is_running or self._shows_plan:
            return
        self._pending.clear()
        log = self.query_one("#log", RichLog)
        log.clear()
        for line in self._buffer.chosen(self._filter, _SHOWN_LINES):
            log.write(line_text(line, self._filter))

    def _keep_filter(self) -> None:
        """Logs of one container are those of the one under the cursor."""
        row = self._row if self._follows_cursor else None
        self._choose(replace(self._filter, container=row.name if row is not None else ""))

    def on_data_table_row_highlighted(self) -> None:
        self._keep_filter()

    def on_data_table_row_selected(self) -> None:
        self._follows_cursor = True
        self._show("log")
        self._keep_filter()

    def action_logs(self) -> None:
        """Back to the logs; there, from those of all to those of one, and back."""
        if self._shows_plan:
            self._show("log")
            return
        self._follows_cursor = not self._follows_cursor
        self._keep_filter()

    def action_search(self) -> None:
        self._show("log")
        search = self.query_one("#search", Input)
        search.add_class("open")
        search.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "search":
            self._choose(replace(self._filter, search=event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "search":
            self._end_search()

    def action_clear(self) -> None:
        """End the search."""
        self.query_one("#search", Input).value = ""
        self._choose(replace(self._filter, search=""))
        self._end_search()

    def _end_search(self) -> None:
        search = self.query_one("#search", Input)
        search.set_class(bool(search.value), "open")
        self._table.focus()

    # --- the plan --------------------------------------------------------------------------------

    def action_plan(self) -> None:
        self._show("log" if self._shows_plan else "plan")

    def action_up(self) -> None:
        """Carry out the plan that is shown, and no other."""
        outlook = self._outlook
        self._show("plan")
        if outlook is None or outlook.plan is None:
            self._say("there is no plan to be carried out", "yellow")
        elif outlook.plan.is_refused:
            self._say("x-stackr.policy refuses this plan", "yellow")
        elif outlook.plan.is_empty:
            self._say("up would change nothing", "yellow")
        else:
            document = outlook.document

            def apply(live: LiveStack) -> Awaitable[object]:
                self._show("log")
                return live.apply(document)

            self._confirm(f"up: {outlook_summary(outlook)}?", "up", apply)

    # --- changes ---------------------------------------------------------------------------------

    def action_restart(self) -> None:
        if (row := self._row) is not None:
            service = row.service
            self._confirm(
                f"restart {self._named(row)}?",
                f"restart {service}",
                lambda live: live.restart(service),
            )

    def action_stop(self) -> None:
        """Stop what runs; start what does not."""
        if (row := self._row) is None:
            return
        service = row.service
        if any(each.is_running for each in self._rows if each.service == service):
            self._confirm(
                f"stop {self._named(row)}?", f"stop {service}", lambda live: live.stop(service)
            )
        elif row.number:
            self._begin(f"start {service}", lambda live: live.start(service))
        else:
            self._say(f"{service} has no container yet: u brings the stack up", "yellow")

    def action_scale(self) -> None:
        if (row := self._row) is None:
            return
        service = row.service
        now = sum(each.service == service and each.number > 0 for each in self._rows)

        def answered(text: str | None) -> None:
            if text and text.isdecimal() and int(text) != now:
                options = UpOptions(services=(service,), scale={service: int(text)})
                self._begin(f"scale {service} to {text}", lambda live: live.up(options))

        self.push_screen(Ask(f"How many containers of {service}?", str(now)), answered)

    def _named(self, row: Row) -> str:
        count = sum(each.service == row.service for each in self._rows)
        return row.service if count == 1 else f"{row.service} ({count} containers)"

    def _confirm(
        self, question: str, what: str, work: Callable[[LiveStack], Awaitable[object]]
    ) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(what, work)

        self.push_screen(Confirm(question), answered)

    def _begin(self, what: str, work: Callable[[LiveStack], Awaitable[object]]) -> None:
        """One change at a time, beside all else."""
        if self._is_changing:
            self._say("one change after the other: the last one goes on", "yellow")
            return
        self._change = asyncio.create_task(self._carry_out(what, work))
        self._change.add_done_callback(self._ended)

    async def _carry_out(self, what: str, work: Callable[[LiveStack], Awaitable[object]]) -> None:
        self._say(f"{what} ...", "cyan")
        try:
            async with self._target.change(self._report) as live:
                await work(live)
        except StackrError as error:
            self._say(f"{what}: failed", "yellow")
            self.push_screen(Notice(f"{what} failed", failure_text(error, self.size.width - 8)))
        else:
            self._say(f"{what}: done", "green")
        finally:
            self._plan.renew()

    @property
    def _is_changing(self) -> bool:
        return self._change is not None and not self._change.done()

    def _report(self, event: StackEvent, /) -> None:
        if text := event_text(event):
            self._say(text, "cyan")

    # --- leaving ---------------------------------------------------------------------------------

    def action_shell(self) -> None:
        """Hand the terminal to a shell in the container, and come back at its end."""
        row = self._row
        if row is None or not row.is_running:
            self._say("a shell needs a container that runs", "yellow")
            return
        with self.suspend():
            code = subprocess.run(
                self._target.shell(row.service, row.number), check=False
            ).returncode
        self._say(f"the shell of {row.name} ended with code {code}")

    async def action_leave(self) -> None:
        """End; a change that is under way is interrupted only where that is wanted."""
        if not self._is_changing:
            self.exit()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.exit()

        if not isinstance(self.screen, Confirm):
            self.push_screen(Confirm("a change is under way: interrupt it, and quit?"), answered)


def _cell(row: Row, text: str) -> Text:
    is_state = text in (row.state, row.health)
    return Text(text, style=style_of(row) if is_state else "")
