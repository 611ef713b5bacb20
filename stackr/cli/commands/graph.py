"""`stackr graph`: the stack, or the plan of `up`, as a graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.stack_graph import plan_graph, stack_graph
from stackr.cli.targets import Targets
from stackr.cli.views.graph import Graph, graph_dot, graph_json, graph_mermaid, graph_tree
from stackr.cli.views.graph_svg import graph_svg
from stackr.errors import StackrError
from stackr.options import Option
from stackr.planner.plan.options import UpOptions
from stackr.stack.planning import desire, plan_up

__all__ = ["graph"]

_FORMATS = ("tree", "dot", "mermaid", "svg", "json")


@dataclass(frozen=True, slots=True)
class GraphArguments:
    """`stackr graph`. output: the file to write, None for stdout."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    form: Annotated[
        str, Option("--format", metavar="KIND", help="tree, dot, mermaid, svg or json")
    ] = "tree"
    plan: Annotated[
        bool, Option("--plan", help="What up would do, in the order of its operations")
    ] = False
    output: Annotated[
        str | None, Option("--output", "-o", metavar="PATH", help="Write to a file")
    ] = None


@takes(GraphArguments)
def graph(ctx: typer.Context, arguments: GraphArguments) -> None:
    """Show services, networks and volumes with what depends on what; no engine is asked."""
    options, output = options_of(ctx), arguments.output
    kind = check_choice("--format", "json" if options.json else arguments.form, _FORMATS)
    with open_session(options) as session:
        made = _graph(session, arguments.targets, of_plan=arguments.plan)
        text = _text(made, kind, session, coloured=output is None)
        if output is None:
            session.out.stream.write(text)
            session.out.stream.flush()
        else:
            _save(Path(output), text)


def _graph(session: Session, targets: Targets, *, of_plan: bool) -> Graph:
    project = source_of(session.options, targets.files).load(targets.services)
    for warning in project.warnings:
        session.view.warning(warning)
    if not of_plan:
        return stack_graph(project)
    up_options = UpOptions(services=targets.services)
    wanted = desire(
        project,
        up_options,
        engine=session.options.engine,
        all_resources=session.options.all_resources,
    )
    plan = session.on_engine(lambda runtime: plan_up(runtime, wanted, up_options), read_only=True)
    return plan_graph(plan)


def _text(graph: Graph, kind: str, session: Session, *, coloured: bool) -> str:
    match kind:
        case "dot":
            return graph_dot(graph)
        case "mermaid":
            return graph_mermaid(graph)
        case "svg":
            return graph_svg(graph)
        case "json":
            return graph_json(graph) + "\n"
        case _:
            output = session.out if coloured else replace(session.out, colour=False)
            return "".join(f"{line}\n" for line in graph_tree(graph, output))


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StackrError(f"cannot write {path}: {(error.strerror or '').lower()}") from error
