"""Package metadata; tool settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

ROOMS = ["benchmarks", "configs", "data", "models", "serving", "trainers"]

SERVING = [
    "aiohttp>=3.10,<4",
    "grpcio>=1.70,<2",
    "prometheus-client>=0.21,<1",
    "tensorflow-serving-api>=2.19,<2.22",
    "uvloop>=0.20,<1",
]

TUNE = ["optuna>=4.5,<6"]

DOCS = ["mkdocs-material>=9.6,<10", "mkdocstrings[python]>=0.30,<2"]

EXTRAS = {
    "serving": SERVING,
    "tune": TUNE,
    "docs": DOCS,
    "spark": ["pyspark>=4.0,<5"],
    "benchmarks": ["pandas>=2.2,<4", *SERVING],
    "dev": [
        *TUNE,
        *DOCS,
        "check-jsonschema>=0.33,<1",
        "hypothesis>=6.100,<7",
        "ipykernel>=6.29,<8",
        "kubernetes-validate>=1.33,<2",
        "nbclient>=0.10,<1",
        "pandas>=2.2,<4",
        "playwright>=1.50,<2",
        "pytest>=8.2,<10",
        "pytest-timeout>=2.3,<3",
        "pytest-xdist>=3.6,<4",
        "pyspark>=4.0,<5",
        "scikit-learn>=1.4,<2",
        "types-pyyaml>=6,<7",
        "types-requests>=2.31,<3",
        # Another minor version of these two may find fault with the same code.
        "mypy>=2.4,<2.5",
        "ruff>=0.17,<0.18",
    ],
}

setup(
    name="recommender-zoo",
    version="0.1.0",
    description="Five recommender models in TensorFlow on one path from raw data to TF Serving",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")]),
    # Makes `pip install -e` add this folder to the path. The import hook that setuptools would use
    # otherwise gives way to any folder named `data` where the command is run.
    package_dir={"": "."},
    package_data={
        "data.spec": ["*.yaml"],
        "data.shapes": ["*.yaml"],
        "serving.explore": ["page/*"],
        "trainers.report_page": ["*.html", "*.css"],
    },
    install_requires=[
        "absl-py>=2.1,<3",
        # Newer ones ask for packages that Python 3.10 lacks; pip finds that out very slowly.
        "etils<1.14; python_version < '3.11'",
        "jinja2>=3.1,<4",
        "matplotlib>=3.8,<4",
        "numpy>=1.26,<3",
        "polars>=1.20,<3",
        "protobuf>=6.31,<8",
        "psutil>=5.9,<8",
        "pyarrow>=17",
        "pyyaml>=6,<7",
        "requests>=2.31,<3",
        "scipy>=1.11,<2",
        "tensorboard>=2.21,<2.22",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.7,<5",
        "tensorflow-recommenders>=0.7.7,<0.8",
        "tf-keras>=2.21,<2.22",
    ],
    extras_require=EXTRAS,
)
