"""Messages that describe what is served: the signatures of a version, the states of versions."""

from __future__ import annotations

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.server.model_manager import ModelManager
from serving.server.model_spec import ModelSpec
from serving.server.servable import Servable

SIGNATURES = "signature_def"


def metadata(servable: Servable) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Returns a version's signatures."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.metadata[SIGNATURES].Pack(signature_map(servable))
    return response


def signature_map(servable: Servable) -> get_model_metadata_pb2.SignatureDefMap:
    """Returns a version's signatures by name."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.signature_defs.items():
        signatures.signature_def[name].CopyFrom(definition)
    return signatures


def status(manager: ModelManager, spec: ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the states of a model's versions, the newest first.

    Raises:
        ServingError: There is no such model or version.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    for found in manager.statuses(spec):
        entry = response.model_version_status.add(version=found.version, state=found.state)
        entry.status.error_code = found.code
        entry.status.error_message = found.message
    return response
