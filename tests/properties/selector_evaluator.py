"""Event selectors judged straight from their documentation: API shapes and a record in, yes or no out.

It shares nothing with the code under test, looks at one event at a time and compiles nothing.
"""

from __future__ import annotations

ALL_OF_A_TYPE = {"arn:aws:s3", "arn:aws:s3:::", "arn:aws:lambda", "arn:aws:dynamodb"}


def is_wanted(members, record):
    """Whether a trail with the members of a PutEventSelectors request logs a record."""
    advanced = members.get("AdvancedEventSelectors")
    if advanced:
        return any(_advanced(selector, record) for selector in advanced)
    return any(_basic(selector, record) for selector in members["EventSelectors"])


def _basic(selector, record):
    reads_and_writes = selector.get("ReadWriteType", "All")
    if reads_and_writes != "All" and record["readOnly"] is not (reads_and_writes == "ReadOnly"):
        return False
    if record["eventCategory"] == "Management":
        excluded = selector.get("ExcludeManagementEventSources", [])
        return selector.get("IncludeManagementEvents", True) and record["eventSource"] not in excluded
    if record["eventCategory"] != "Data":
        return False
    return any(
        element["type"] == wanted["Type"] and _names(value, wanted["Type"], element["ARN"])
        for wanted in selector.get("DataResources", [])
        for value in wanted["Values"]
        for element in record["resources"]
    )


def _names(value, type_, arn):
    if value in ALL_OF_A_TYPE:
        return True
    if arn is None:
        return False
    return arn.startswith(value) if type_ == "AWS::S3::Object" else arn == value


def _advanced(selector, record):
    of_resource = [field for field in selector["FieldSelectors"] if field["Field"].startswith("resources.")]
    of_event = [field for field in selector["FieldSelectors"] if field not in of_resource]
    if not all(_field(field, _value(record, field["Field"])) for field in of_event):
        return False
    return not of_resource or any(
        all(_field(field, element[field["Field"].removeprefix("resources.")]) for field in of_resource)
        for element in record["resources"]
    )


def _value(record, name):
    value = record["userIdentity"]["arn"] if name == "userIdentity.arn" else record[name]
    return str(value).lower() if isinstance(value, bool) else value


def _field(selector, value):
    used = {name: values for name, values in selector.items() if name != "Field"}
    positive = [_operator(n, v, value) for n, v in used.items() if not n.startswith("Not")]
    negative = [_operator(n, v, value) for n, v in used.items() if n.startswith("Not")]
    return (not positive or any(positive)) and all(negative)


def _operator(operator, values, value):
    if operator.startswith("Not"):
        return not _operator(operator.removeprefix("Not"), values, value)
    if value is None:
        return False
    return any(
        {"Equals": value == v, "StartsWith": value.startswith(v), "EndsWith": value.endswith(v)}[operator]
        for v in values
    )
