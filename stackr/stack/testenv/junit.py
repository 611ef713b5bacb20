"""A run as JUnit XML: one suite for the stack, a case for each service's readiness and the command.

Source: the Jenkins xunit plugin's junit-10.xsd, which CI systems read.
"""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from stackr.stack.testenv.findings import Findings, Readiness

__all__ = ["junit_xml"]

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(findings: Findings, *, started_at: float) -> str:
    """The document. started_at: Unix seconds."""
    suite = Element("testsuite", {"name": findings.stack})
    properties = SubElement(suite, "properties")
    SubElement(properties, "property", {"name": "project", "value": findings.project})
    for readiness in findings.services:
        _service_case(suite, findings, readiness)
    _command_case(suite, findings)
    if findings.headline:
        SubElement(suite, "system-err").text = _clean(_report(findings))
    moment = datetime.fromtimestamp(started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    suite.attrib.update({"time": f"{findings.took_s:.3f}", "timestamp": moment})
    root = Element("testsuites", {"name": findings.stack})
    root.append(suite)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _service_case(suite: Element, findings: Findings, readiness: Readiness) -> None:
    case = _case(
        suite, f"{readiness.service} is ready", f"{findings.stack}.services", readiness.took_s
    )
    if readiness.skipped:
        SubElement(case, "skipped", {"message": _clean(readiness.skipped)})
    if not readiness.failure:
        return
    failure = SubElement(
        case, "failure", {"message": _clean(readiness.failure), "type": "not ready"}
    )
    suspect = next((s for s in findings.suspects if s.service == readiness.service), None)
    if suspect is not None:
        lines = [str(suspect.place)] if suspect.place else []
        lines += [f"{suspect.container}: {suspect.problem}" if suspect.container else ""]
        lines += [f"last health check {suspect.health}"] if suspect.health else []
        failure.text = _clean("\n".join([*filter(None, lines), *suspect.log]))


def _command_case(suite: Element, findings: Findings) -> None:
    command = findings.command
    if command is None:
        return
    case = _case(suite, shlex.join(command.argv), f"{findings.stack}.command", command.took_s)
    if command.skipped:
        SubElement(case, "skipped", {"message": _clean(command.skipped)})
    if command.failure:
        message = _clean(command.failure)
        SubElement(case, "failure", {"message": message, "type": "command"}).text = message


def _case(suite: Element, name: str, class_name: str, took_s: float) -> Element:
    attributes = {"name": _clean(name), "classname": class_name, "time": f"{took_s:.3f}"}
    return SubElement(suite, "testcase", attributes)


def _report(findings: Findings) -> str:
    moments = (f"{moment.at_s:9.3f}  {moment.text}" for moment in findings.timeline)
    return "\n".join((findings.headline, *moments))


def _clean(text: str) -> str:
    """XML 1.0 has no place for most control characters, which containers may well write."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
