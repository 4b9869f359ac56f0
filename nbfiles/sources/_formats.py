"""The formats of a frame, as one small table: name -> endings, options, encoder.

A faster encoder for a format takes the old one's place here.
"""

from __future__ import annotations

from nbfiles.sources import _arrow, _csv, _excel, _json, _shown
from nbfiles.sources._format import Family, Format

FRAMES = Family(
    "a frame",
    Format("csv", (".csv",), _csv.OPTIONS, _csv.write_csv),
    Format("tsv", (".tsv",), _csv.OPTIONS, _csv.write_tsv),
    Format("json", (".json",), _json.OPTIONS, _json.write_json),
    Format("jsonl", (".jsonl", ".ndjson"), _json.LINES_OPTIONS, _json.write_jsonl),
    Format("parquet", (".parquet",), _arrow.PARQUET_OPTIONS, _arrow.write_parquet),
    Format("feather", (".feather", ".arrow"), _arrow.FEATHER_OPTIONS, _arrow.write_feather),
    Format("xlsx", (".xlsx",), _excel.OPTIONS, _excel.write_xlsx),
    Format("html", (".html", ".htm"), _shown.HTML_OPTIONS, _shown.write_html),
    Format("md", (".md", ".markdown"), _shown.MD_OPTIONS, _shown.write_md),
    Format("txt", (".txt", ".text"), _shown.TXT_OPTIONS, _shown.write_txt),
)
FORMATS: dict[str, Format] = FRAMES.formats
