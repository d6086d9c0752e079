"""What is compared with what: our models and their peers, of one size, on the same rows."""

from __future__ import annotations

from benchmarks.contenders import Ours, Peer, Suite, Target

KERAS, TFRS, RECBOLE = "Keras", "TFRS", "RecBole"
OURS, OURS_BF16, OURS_XLA = "ours", "ours bfloat16", "ours --xla"
TORCH = "PyTorch"


_BF16 = Ours(OURS_BF16, ("trainer.mixed_precision=bfloat16", "trainer.table_dtype=bfloat16"))
_BOTH = (Ours(OURS), _BF16)
_ADAGRAD = {"dense": "adam", "dense_rate": 0.001, "tables": "adagrad", "table_rate": 0.01}
_ADAM = {"dense": "adam", "dense_rate": 0.001, "tables": "adam", "table_rate": 0.001}
_CLICK_SETTINGS = (
    "model.table_optimizer=adagrad",
    "trainer.learning_rate=0.001",
    "trainer.table_learning_rate=0.01",
)
_KERAS_DLRM = Peer(f"{KERAS}, Adam", "peers.keras_clicks", False, {"architecture": "dlrm"})
_KERAS_ADAGRAD = Peer(
    f"{KERAS}, Adagrad",
    "peers.keras_clicks",
    False,
    {"architecture": "dlrm"},
    {"dense": "adagrad", "dense_rate": 0.01},
)
_TORCH_DLRM = Peer(TORCH, "peers.torch_dlrm")
_DLRM_BOTTOM = "model.bottom=512,256"
_DLRM_TOP = "model.top=1024,1024,512,256"

DLRM = Suite(
    name="dlrm",
    title="DLRM: 13 numbers, 26 tables of 76,923 rows, 64 wide, 512-256-64, 1024-1024-512-256-1",
    data="clicks",
    kind="clicks",
    model="dlrm",
    settings=(*_CLICK_SETTINGS, "model.dim=64", _DLRM_BOTTOM, _DLRM_TOP),
    batch_size=2048,
    steps=30,
    sizes={"dim": 64, "bottom": [512, 256, 64], "top": [1024, 1024, 512, 256]},
    optimizer=_ADAGRAD,
    ours=_BOTH,
    peers=(
        _TORCH_DLRM,
        Peer(f"{TORCH}, SGD", "peers.torch_dlrm", optimizer={"tables": "sgd", "dense": "sgd"}),
        Peer(TFRS, "peers.tfrs_ranking", False),
        _KERAS_DLRM,
    ),
    targets=(
        Target(OURS_BF16, TORCH, 3.0),
        Target(OURS_BF16, TFRS, 2.0),
        Target(OURS_BF16, _KERAS_DLRM.name, 8.0),
        Target(OURS, TORCH, 1.5),
        Target(OURS, TFRS, 1.1),
        Target(OURS, _KERAS_DLRM.name, 4.5),
    ),
)
DLRM_SMALL = Suite(
    name="dlrm_small",
    title="DLRM, small: 16 wide, 64-16, 64-32-1",
    data="clicks",
    kind="clicks",
    model="dlrm",
    settings=(*_CLICK_SETTINGS, "model.dim=16", "model.bottom=64", "model.top=64,32"),
    batch_size=2048,
    steps=100,
    sizes={"dim": 16, "bottom": [64, 16], "top": [64, 32]},
    optimizer=_ADAGRAD,
    ours=(Ours(OURS), Ours(OURS_XLA, ("trainer.xla=true",))),
    peers=(_TORCH_DLRM, _KERAS_ADAGRAD),
    targets=(Target(OURS_XLA, TORCH, 2.0), Target(OURS_XLA, _KERAS_ADAGRAD.name, 2.0)),
)
TABLES = Suite(
    name="tables",
    title="The same DLRM with tables of 20 million rows in place of 2 million",
    data="clicks",
    kind="clicks",
    model="dlrm",
    settings=DLRM.settings,
    batch_size=2048,
    steps=30,
    sizes={},
    optimizer=_ADAGRAD,
    ours=(Ours(OURS), Ours(f"{OURS}, 20M rows", data="clicks_large")),
    peers=(),
    targets=(Target(f"{OURS}, 20M rows", OURS, round(1 / 1.3, 2)),),
)
_CROSSES = [[0, 1], [2, 3], [4, 5]]
WIDE_DEEP = Suite(
    name="wide_deep",
    title="Wide&Deep: 16 wide, hidden 256-128-64, three hashed crosses of 100,000 buckets",
    data="clicks",
    kind="clicks",
    model="wide_deep",
    settings=(
        *_CLICK_SETTINGS,
        "model.dim=16",
        "model.hidden=256,128,64",
        "model.crosses=" + ",".join(f"C{a + 1}*C{b + 1}" for a, b in _CROSSES),
        "model.cross_buckets=100000",
        "model.buckets=0",
    ),
    batch_size=2048,
    steps=60,
    sizes={"dim": 16, "hidden": [256, 128, 64], "crosses": _CROSSES, "cross_buckets": 100_000},
    optimizer=_ADAGRAD,
    ours=(Ours(OURS), Ours(OURS_XLA, ("trainer.xla=true",))),
    peers=(Peer(f"{KERAS}, Adam", "peers.keras_clicks", False, {"architecture": "wide_deep"}),),
    targets=(Target(OURS_XLA, f"{KERAS}, Adam", 3.0),),
)
NEUMF = Suite(
    name="neumf",
    title="NeuMF: GMF 64, MLP embedding 64, hidden 128-64-32, 4 negatives",
    data="movielens_1m",
    kind="interactions",
    model="ncf",
    settings=(
        *("model.variant=neumf", "model.gmf_dim=64", "model.mlp_dim=64"),
        *("model.hidden=128,64,32", "model.negatives=4", "model.table_optimizer=adam"),
        "trainer.learning_rate=0.001",
    ),
    batch_size=4096,
    steps=60,
    sizes={"gmf_dim": 64, "mlp_dim": 64, "hidden": [128, 64, 32], "negatives": 4},
    optimizer=_ADAM,
    ours=(Ours(OURS), Ours(OURS_XLA, ("trainer.xla=true",))),
    peers=(
        Peer(TORCH, "peers.torch_neumf"),
        Peer(RECBOLE, "peers.recbole_models", True, {"architecture": "NeuMF"}),
    ),
    targets=(Target(OURS_XLA, RECBOLE, 4.0),),
)


def _mult_vae(data: str) -> Suite:
    recbole = Peer(RECBOLE, "peers.recbole_models", True, {"architecture": "MultiVAE"})
    return Suite(
        name=f"mult_vae_{data.partition('_')[0]}",
        title=f"Mult-VAE 600-200, {data}, users a second in whole epochs (peers' steps)",
        data=data,
        kind="histories",
        model="vae_cf",
        settings=("model.hidden=600", "model.latent=200", "trainer.learning_rate=0.001"),
        batch_size=500,
        steps=2,
        epoch=True,
        sizes={"hidden": [600], "latent": 200},
        optimizer=_ADAM,
        ours=(Ours(OURS), Ours(OURS_XLA, ("trainer.xla=true",))),
        peers=(Peer(f"{TORCH}, dense input", "peers.torch_mult_vae"), recbole),
        targets=(Target(OURS_XLA, RECBOLE, 1.5), Target(OURS_XLA, f"{TORCH}, dense input", 2.0)),
    )


BERT4REC = Suite(
    name="bert4rec",
    title="BERT4Rec: 2 layers, 64 wide, 2 heads, length 200, sequences a second",
    data="movielens_1m",
    kind="histories",
    model="bert4rec",
    settings=("model.dim=64", "model.layers=2", "model.heads=2", "model.max_length=200"),
    batch_size=128,
    steps=15,
    sizes={
        **{"dim": 64, "layers": 2, "heads": 2, "max_length": 200},
        **{"mask_share": 0.2, "dropout": 0.1},
    },
    optimizer=_ADAM,
    ours=(Ours(OURS), Ours(OURS_XLA, ("trainer.xla=true",))),
    peers=(
        Peer(TORCH, "peers.torch_bert4rec"),
        Peer(RECBOLE, "peers.recbole_models", True, {"architecture": "BERT4Rec"}),
    ),
    targets=(Target(OURS, RECBOLE, 4.5), Target(OURS, TORCH, 1.5)),
)


def _pipeline(name: str, how: str, steps_share: float = 1.0) -> Peer:
    return Peer(name, "pipelines", False, {"how": how}, steps_share=steps_share)


_BLOCKS, _PACKED = "block records", "parse_example, columns packed"
_PARSED, _ROW_BY_ROW = "parse_example", "map(parse_single_example)"
PIPELINE = Suite(
    name="pipeline",
    title="Input alone: clicks with a full shuffle of rows, rows a second",
    data="clicks",
    kind="clicks",
    model="",
    settings=(),
    batch_size=2048,
    steps=400,
    sizes={},
    optimizer=_ADAGRAD,
    ours=(),
    peers=(
        _pipeline(_BLOCKS, "blocks"),
        _pipeline(_PACKED, "packed", 0.2),
        _pipeline(_PARSED, "parse_example", 0.2),
        _pipeline(_ROW_BY_ROW, "parse_single_example", 0.02),
    ),
    targets=(
        Target(_BLOCKS, "", 3e6),
        Target(_BLOCKS, _PARSED, 6.0),
        Target(_BLOCKS, _ROW_BY_ROW, 80.0),
    ),
)
_SAMPLED = "4 negatives each"
PIPELINE_NCF = Suite(
    name="pipeline_ncf",
    title="Input alone: NCF's positives and negatives, examples a second",
    data="movielens_1m",
    kind="interactions",
    model="",
    settings=(),
    batch_size=4096,
    steps=200,
    sizes={"negatives": 4},
    optimizer=_ADAM,
    ours=(),
    peers=(_pipeline(_SAMPLED, "negatives"),),
    targets=(Target(_SAMPLED, "", 4e6),),
)
SUITES = {
    suite.name: suite
    for suite in (
        *(PIPELINE, PIPELINE_NCF, DLRM, TABLES, DLRM_SMALL, WIDE_DEEP, NEUMF),
        *(_mult_vae("movielens_1m"), _mult_vae("gowalla"), BERT4REC),
    )
}
