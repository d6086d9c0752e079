"""The deployment files: true to their schemas, to each other and to the page that explains them.

The schemas are Kubernetes' own, of `kubernetes-validate`, and the compose specification's, of
`check-jsonschema`. test_deploy_live.py starts a server with the files.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig as Config

from serving.server import settings
from serving.server.settings import BatchingParameters, ModelConfig

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "serving" / "deploy"
PAGE = (REPOSITORY / "docs" / "deployment.md").read_text()
CONFIGS = ("batching.config", "models.config", "monitoring.config")
PROBES = ("startup", "readiness", "liveness")
Claims = list[tuple[str, Any, Any]]  # a place, what it says, and what it must say


def block(language: str) -> str:
    """Returns the page's one block of a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return text


class Files:
    """What the files of a folder say."""

    def __init__(self, folder: Path) -> None:
        self.texts = {name: (folder / name).read_text() for name in CONFIGS}
        services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
        self.compose, self.scraper = services["serving"], services["prometheus"]
        documents = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
        self.objects: dict[str, Any] = {document["kind"]: document for document in documents}
        (self.scrape,) = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
        ((self.model, config),) = settings.read_models(folder / "models.config").items()
        self.models, self.export = str(config.base_path.parent), config.base_path.name
        self.metrics = settings.read_metrics_path(folder / "monitoring.config")
        self.batching = settings.read_batching(folder / "batching.config")
        self.flags = dict(flag.lstrip("-").split("=") for flag in self.compose["command"])
        self.grpc, self.rest = int(self.flags["port"]), int(self.flags["rest_api_port"])
        self.status = f"/v1/models/{self.model}"
        self.pod = self.objects["Deployment"]["spec"]["template"]["spec"]
        self.container = self.pod["containers"][0]


def compose_claims(files: Files) -> Claims:
    mounts = {mount["target"]: mount["source"] for mount in files.compose["volumes"]}
    check = re.findall(r"127.0.0.1/(\d+) .*GET (\S+) ", files.compose["healthcheck"]["test"][3])
    ports = [f"127.0.0.1:{port}:{port}" for port in (files.grpc, files.rest)]
    given = sorted(value for name, value in files.flags.items() if name.endswith("_file"))
    threads = [int(files.flags[name]) for name in ("rest_api_num_threads", "grpc_max_threads")]
    scrape = (files.scrape["static_configs"][0]["targets"], files.scrape["metrics_path"])
    scraper = {m["source"]: f"--config.file={m['target']}" for m in files.scraper["volumes"]}
    return [
        ("base path", files.export, files.model),
        ("compose ports", files.compose["ports"], ports),
        ("compose check", check, [(str(files.rest), files.status)]),
        ("compose settings", given, [f"/config/{name}" for name in CONFIGS]),
        ("compose mounts", (set(mounts), mounts.get("/config")), ({files.models, "/config"}, ".")),
        ("compose threads", threads, [2 * files.batching.max_batch_size] * 2),
        ("prometheus.yml", scrape, ([f"serving:{files.rest}"], files.metrics)),
        ("compose scraper", scraper.get("./prometheus.yml"), files.scraper["command"][0]),
    ]


def pod_claims(files: Files) -> Claims:
    pod, compose, objects = files.container, files.compose, files.objects
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    sources = {v["name"]: {k: v[k] for k in v if k != "name"} for v in files.pod["volumes"]}
    mounts = {mount["mountPath"]: sources[mount["name"]] for mount in pod["volumeMounts"]}
    claim = {"claimName": objects["PersistentVolumeClaim"]["metadata"]["name"], "readOnly": True}
    config = {"name": objects["ConfigMap"]["metadata"]["name"]}
    kinds = ("intra", "inter")
    cpus = [files.flags[f"tensorflow_{kind}_op_parallelism"] for kind in kinds]
    cpus += [str(compose["cpus"]), str(files.batching.num_batch_threads)]
    said = {n: pod[f"{n}Probe"]["httpGet"] for n in PROBES}
    probes = {n: (probe["path"], ports.get(probe["port"])) for n, probe in said.items()}
    return [
        *((name, probe, (files.status, files.rest)) for name, probe in probes.items()),
        ("pod image", pod["image"], compose["image"]),
        ("pod command", pod["command"], compose["entrypoint"]),
        ("pod args", pod["args"], compose["command"]),
        ("pod ports", ports, {"grpc": files.grpc, "http": files.rest}),
        ("pod exports", mounts.get(files.models), {"persistentVolumeClaim": claim}),
        ("pod config", mounts.get("/config"), {"configMap": config}),
        ("ConfigMap", objects["ConfigMap"]["data"], files.texts),
        ("CPUs", cpus, [pod["resources"]["requests"]["cpu"]] * 4),
        ("memory", compose["mem_limit"] + "i", pod["resources"]["limits"]["memory"].lower()),
    ]


def service_claims(files: Files) -> Claims:
    kinds = ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    deployment, service, budget, scaler = (files.objects[kind]["spec"] for kind in kinds)
    labels = deployment["template"]["metadata"]["labels"]
    chosen = [deployment["selector"]["matchLabels"], budget["selector"]["matchLabels"]]
    scaled = (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"])
    ports = {port["name"]: (port["port"], port["targetPort"]) for port in service["ports"]}
    scraped = {"scrape": "true", "port": str(files.rest), "path": files.metrics}
    annotations = {f"prometheus.io/{name}": value for name, value in scraped.items()}
    return [
        ("service ports", ports, {"grpc": (files.grpc, "grpc"), "http": (files.rest, "http")}),
        ("annotations", files.objects["Service"]["metadata"]["annotations"], annotations),
        ("selectors", [*chosen, service["selector"]], [labels] * 3),
        ("autoscaler", scaled, (kinds[0], files.objects[kinds[0]]["metadata"]["name"])),
        ("replicas", scaler["minReplicas"], deployment["replicas"]),
    ]


def claims(folder: Path) -> Claims:
    files = Files(folder)
    return [*compose_claims(files), *pod_claims(files), *service_claims(files)]


def faults(folder: Path) -> dict[str, str]:
    """Returns where the files of a folder disagree, and how."""
    return {where: f"{a!r}, not {b!r}" for where, a, b in claims(folder) if a != b}


def schema_faults(folder: Path) -> str:
    """Returns what the schemas of Kubernetes and compose find in the files of a folder."""
    found = ""
    for document in yaml.safe_load_all((folder / "kubernetes.yaml").read_text()):
        for version in ("1.30", kubernetes_validate.latest_version()):
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found += error.message
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    files = [str(path) for path in folder.glob("*.yaml") if path.stem != "kubernetes"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    return found + (done.stdout + done.stderr if done.returncode else "")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEPLOY, tmp_path / "deploy"))


def test_the_files_agree_and_keep_to_their_schemas(copy: Path) -> None:
    (copy / "gpu.yaml").write_text(block("yaml"))
    assert schema_faults(copy) == ""
    assert faults(copy) == {}
    assert f"image: {Files(copy).compose['image']}-gpu\n" in block("yaml")


K8S = "kubernetes.yaml"
FAULTS = [
    ("models.config", 'base_path: "/models/ncf', 'base_path: "/models/a', "base path, ConfigMap"),
    (
        "models.config",
        'base_path: "/models',
        'base_path: "/m',
        "compose mounts, pod exports, ConfigMap",
    ),
    ("monitoring.config", "/metrics", "/m", "prometheus.yml, ConfigMap, annotations"),
    ("compose.yaml", "threads=128", "threads=64", "compose threads, pod args"),
    ("batching.config", "micros { value: 2", "micros { value: 1", "ConfigMap"),
    ("compose.yaml", "1:8501:8501", "1:8511:8501", "compose ports"),
    ("compose.yaml", "GET /v1/models/ncf", "GET /v1/models/a", "compose check"),
    ("compose.yaml", "=/config/batching", "=/configs/batching", "compose settings, pod args"),
    ("compose.yaml", "parallelism=2", "parallelism=4", "pod args, CPUs"),
    ("compose.yaml", "target: /etc", "target: /opt", "compose scraper"),
    ("prometheus.yml", "serving:8501", "serving:8500", "prometheus.yml"),
    (K8S, "Port: 8501", "Port: 8502", "startup, readiness, liveness, pod ports"),
    (K8S, "image: tensorflow/serving:2.", "image: tensorflow/serving:1.", "pod image"),
    (K8S, "command: [tensorflow", "command: [tf", "pod command"),
    (K8S, "mountPath: /config", "mountPath: /configs", "pod config"),
    (K8S, "memory: 2Gi", "memory: 1Gi", "memory"),
    (K8S, "port: 8500,", "port: 8502,", "service ports"),
    (K8S, "  selector: {app", "  selector: {a", "selectors"),
    (K8S, "Deployment, name: tf-serving", "Deployment, name: a", "autoscaler"),
    (K8S, "minReplicas: 2", "minReplicas: 3", "replicas"),
]


@pytest.mark.parametrize(("file", "old", "new", "places"), FAULTS)
def test_a_fault_is_found(copy: Path, file: str, old: str, new: str, places: str) -> None:
    text = (copy / file).read_text()
    (copy / file).write_text(text.replace(old, new))
    assert text != (copy / file).read_text()
    assert ", ".join(faults(copy)) == places


def test_a_fault_of_every_place_is_tried() -> None:
    compared = {place for place, _, _ in claims(DEPLOY)}
    assert compared == {place for fault in FAULTS for place in fault[3].split(", ")}


@pytest.mark.parametrize("key", ["mem_limit", "readOnlyRootFilesystem"])
def test_a_key_that_does_not_exist_is_found(copy: Path, key: str) -> None:
    for path in copy.glob("*.yaml"):
        path.write_text(path.read_text().replace(key, f"{key}s"))
    assert f"'{key}s' was unexpected" in schema_faults(copy)


def test_the_settings_say_what_is_promised() -> None:
    files = Files(DEPLOY)
    latest = files.texts["models.config"]
    *labelled, rollback = re.findall(r"^#     (.+)", latest, re.MULTILINE)
    policy = "model_version_policy { latest { num_versions: 1 } }"
    variants = [latest.replace(policy, new) for new in ("\n".join(labelled), rollback)]
    texts = [latest, block("proto"), *variants]
    served = [settings.models_of(text_format.Parse(text, Config())) for text in texts]
    path = Path("/models/ncf")
    canary = ModelConfig(path, specific=(1, 2), labels={"stable": 1, "canary": 2})
    expected = [ModelConfig(path, latest=1), canary, canary, ModelConfig(path, specific=(1,))]
    assert served == [{"ncf": config} for config in expected]
    assert files.batching == BatchingParameters(64, 2000, 32, 2, (1, 2, 4, 8, 16, 32, 64), False)


def test_the_containers_may_do_little() -> None:
    files = Files(DEPLOY)
    locked = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for service in (files.compose, files.scraper):
        assert {key: service[key] for key in locked} == locked
        assert int(service["user"].split(":")[0]) > 0
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert all(mount["read_only"] for mount in service["volumes"] if mount["type"] == "bind")
    locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    assert files.container["securityContext"] == {**locked, "capabilities": {"drop": ["ALL"]}}
    assert files.pod["securityContext"]["runAsNonRoot"]
    assert all(m["readOnly"] for m in files.container["volumeMounts"] if m["name"] != "tmp")
