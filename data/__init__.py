"""Raw data to prepared datasets to batches. Knows no model.

`data.prepare` writes a prepared dataset, `PreparedDataset` reads it, `make_dataset` turns it
into batches. The format is described in docs/data-format.md.
"""

import os

# The models need Keras 2; without this TensorFlow loads Keras 3, a second of every command.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
