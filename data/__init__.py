"""Raw data to prepared datasets to batches. Knows no model.

`data.prepare` writes a prepared dataset, `PreparedDataset` reads it, `make_dataset` turns it
into batches. The format is described in docs/data-format.md.
"""
