"""botocore's models of the services, which drive how requests are read and answers are written (reference §5.1).

| module | what |
|---|---|
| `services` | the models, and which operations there are |
| `reading` | JSON and text values to members: their types |
| `constraints` | what the model allows of them: required, lengths, ranges, enums, patterns |
| `patterns` | the model's regular expressions, which are Java's |
| `own_errors` | where an operation has an error of its own for a value that the model forbids |
| `inputs` | all of these put together |
| `writing` | members to JSON values and XML |
| `record_members` | members as CloudTrail's records show them |

Nothing is written by hand for one operation but the names in `own_errors`.
"""

from __future__ import annotations

from opentrail_control_plane.model.inputs import read_form, read_input, read_rest_input
from opentrail_control_plane.model.record_members import recorded_input, recorded_output
from opentrail_control_plane.model.services import (
    Operation,
    find_operation,
    operation_names,
    rest_operation,
)
from opentrail_control_plane.model.writing import write_output, write_xml, xml_text

__all__ = [
    "Operation",
    "find_operation",
    "operation_names",
    "read_form",
    "read_input",
    "read_rest_input",
    "recorded_input",
    "recorded_output",
    "rest_operation",
    "write_output",
    "write_xml",
    "xml_text",
]
