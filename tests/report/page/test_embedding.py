"""Data inside the page stays data."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from speclight.report.page.embedding import script_json, svg_data_uri


@given(st.text() | st.sampled_from(["</script>", "<!--<script>", "]]>", "&lt;"]))
def test_json_in_a_script_element_keeps_its_value_and_holds_no_markup(text):
    embedded = script_json(json.dumps({"text": [text]}, ensure_ascii=False))
    assert json.loads(embedded) == {"text": [text]}
    assert not set("<>&") & set(embedded)


def test_an_image_address_carries_the_whole_file():
    kind, content = svg_data_uri(b"<svg/>\xc3\xa9").split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == b"<svg/>\xc3\xa9"
