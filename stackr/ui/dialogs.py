"""What the dashboard asks, and tells at length, above its screen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

__all__ = ["Ask", "Confirm", "Notice", "key_line"]


def key_line() -> Footer:
    """The keys of the screen, in one line of 80 columns."""
    footer = Footer(show_command_palette=False)
    footer.compact = True
    return footer


class Confirm(ModalScreen[bool]):
    """A question with yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "yes", key_display="y"),
        Binding("n,escape,q", "answer(False)", "no", key_display="n"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(self._question))
        yield key_line()

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Ask(ModalScreen[str]):
    """A question with a number for an answer; "" where none is given."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "answer", "ok"),
        Binding("escape", "dismiss('')", "cancel"),
    ]

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(self._question))
            yield Input(self._value, type="integer", compact=True, select_on_focus=True)
        yield key_line()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_answer(self) -> None:
        self.dismiss(self.query_one(Input).value)


class Notice(ModalScreen[None]):
    """A text that may be longer than the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss(None)", "close", key_display="esc"),
    ]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog"):
            yield Static(Text(self._title, style="bold"))
            yield Static(self._text)
        yield key_line()
