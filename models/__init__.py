"""The models, their layers and their embedding tables, written as if there were one device."""

import os
import sys

# tensorflow-recommenders and the models need Keras 2; TensorFlow reads this once.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
if os.environ["TF_USE_LEGACY_KERAS"] not in ("1", "true", "True"):
    raise ImportError(
        "recommender-zoo needs Keras 2. "
        f"Received: TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']}. Set it to 1"
    )
if "tensorflow" in sys.modules:
    import tensorflow as tf

    if not tf.keras.Model.__module__.startswith("tf_keras"):
        raise ImportError(
            "recommender-zoo needs Keras 2, but tf.keras was already loaded as Keras 3. "
            "Import `models` before touching tf.keras, or set TF_USE_LEGACY_KERAS=1 first"
        )
