"""A CSV file taken apart one character at a time: every cell as it is written."""

from __future__ import annotations


def written_fields(text: str, delimiter: str) -> list[list[str]]:
    """Give the records of a file, each as its cells with their quotes; blank lines are left out."""
    records: list[list[str]] = [[]]
    field, quoted, place = "", False, 0
    while place < len(text):
        sign = text[place]
        if quoted:
            field += sign
            if sign == '"' and text[place + 1 : place + 2] == '"':
                field += '"'
                place += 1
            elif sign == '"':
                quoted = False
        elif sign == '"' and not field:
            field, quoted = sign, True
        elif sign == delimiter:
            records[-1].append(field)
            field = ""
        elif sign in "\r\n":
            if records[-1] or field:
                records[-1].append(field)
                records.append([])
            field = ""
        else:
            field += sign
        place += 1
    if records[-1] or field:
        records[-1].append(field)
    return [record for record in records if record]
