"""Send notebook files and DataFrames to the Anthropic Files API, and keep their ids in variables."""
