"""A notebook's transcript: runs the notebook beside its data, and prints every code cell with the text it shows.

``python notebooks/transcript.py NOTEBOOK`` ends with 1 at the first cell that fails. The notebook file stays as it is.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def text_of(output):
    """Return what `output` shows as text, with an error as its last line."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}\n"
    return output.data.get("text/plain", "") + "\n"


def show(cell):
    """Print one executed code cell: its source, then its output."""
    print("".join(f">>> {line}\n" for line in cell.source.splitlines()), end="")
    print("".join(text_of(output) for output in cell.outputs))


def main(path):
    """Run the notebook at `path` and print it. Returns the exit status."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        extra_arguments=["--log-level=ERROR"],  # the kernel's own log is not the notebook's
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError:
        status = 1
    else:
        status = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.execution_count:
            show(cell)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
