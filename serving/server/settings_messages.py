"""Message classes of TF Serving's settings files that `tensorflow-serving-api` lacks."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_PACKAGE = "recommender_zoo.serving"

WRAPPED = {
    "max_batch_size": "Int64Value",
    "batch_timeout_micros": "Int64Value",
    "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value",
    "thread_pool_name": "StringValue",
}


def messages() -> dict[str, Any]:
    """Returns the classes by name; fields have TF Serving's names and numbers."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="recommender_zoo/serving_settings.proto", package=_PACKAGE, syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    batching = file.message_type.add(name="BatchingParameters")
    for number, (name, kind) in enumerate(WRAPPED.items(), start=1):
        batching.field.add(
            name=name,
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".google.protobuf.{kind}",
            label=kinds.LABEL_OPTIONAL,
        )
    repeated, optional = kinds.LABEL_REPEATED, kinds.LABEL_OPTIONAL
    batching.field.add(name="allowed_batch_sizes", number=6, type=kinds.TYPE_INT64, label=repeated)
    batching.field.add(
        name="pad_variable_length_inputs", number=7, type=kinds.TYPE_BOOL, label=optional
    )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=kinds.TYPE_BOOL, label=optional)
    prometheus.field.add(name="path", number=2, type=kinds.TYPE_STRING, label=optional)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.PrometheusConfig",
        label=optional,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name.rpartition(".")[2]: made
        for name, made in message_factory.GetMessageClassesForFiles([file.name], pool).items()
    }
