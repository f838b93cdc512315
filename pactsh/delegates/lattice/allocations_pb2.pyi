import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListAllocationsRequest(_message.Message):
    __slots__ = ("tenant", "user", "vcluster", "state", "limit", "cursor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    vcluster: str
    state: str
    limit: int
    cursor: str
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., vcluster: _Optional[str] = ..., state: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListAllocationsResponse(_message.Message):
    __slots__ = ("allocations", "next_cursor")
    ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    allocations: _containers.RepeatedCompositeFieldContainer[AllocationStatus]
    next_cursor: str
    def __init__(self, allocations: _Optional[_Iterable[_Union[AllocationStatus, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetAllocationRequest(_message.Message):
    __slots__ = ("allocation_id",)
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    allocation_id: str
    def __init__(self, allocation_id: _Optional[str] = ...) -> None: ...

class AllocationStatus(_message.Message):
    __slots__ = ("allocation_id", "state", "spec", "assigned_nodes", "created_at", "started_at", "completed_at", "exit_code", "message", "user")
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_NODES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    allocation_id: str
    state: str
    spec: AllocationSpec
    assigned_nodes: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    exit_code: int
    message: str
    user: str
    def __init__(self, allocation_id: _Optional[str] = ..., state: _Optional[str] = ..., spec: _Optional[_Union[AllocationSpec, _Mapping]] = ..., assigned_nodes: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exit_code: _Optional[int] = ..., message: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("allocation_id",)
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    allocation_id: str
    def __init__(self, allocation_id: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: _Optional[bool] = ...) -> None: ...

class AllocationSpec(_message.Message):
    __slots__ = ("id", "tenant", "project", "vcluster", "tags", "entrypoint", "resources", "lifecycle", "connectivity", "depends_on", "checkpoint", "telemetry", "requeue_policy", "max_requeue", "sensitive")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    VCLUSTER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    ENTRYPOINT_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    LIFECYCLE_FIELD_NUMBER: _ClassVar[int]
    CONNECTIVITY_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    REQUEUE_POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEUE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    project: str
    vcluster: str
    tags: _containers.ScalarMap[str, str]
    entrypoint: str
    resources: ResourceSpec
    lifecycle: LifecycleSpec
    connectivity: ConnectivitySpec
    depends_on: _containers.RepeatedCompositeFieldContainer[DependencySpec]
    checkpoint: CheckpointSpec
    telemetry: TelemetrySpec
    requeue_policy: str
    max_requeue: int
    sensitive: bool
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., project: _Optional[str] = ..., vcluster: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., entrypoint: _Optional[str] = ..., resources: _Optional[_Union[ResourceSpec, _Mapping]] = ..., lifecycle: _Optional[_Union[LifecycleSpec, _Mapping]] = ..., connectivity: _Optional[_Union[ConnectivitySpec, _Mapping]] = ..., depends_on: _Optional[_Iterable[_Union[DependencySpec, _Mapping]]] = ..., checkpoint: _Optional[_Union[CheckpointSpec, _Mapping]] = ..., telemetry: _Optional[_Union[TelemetrySpec, _Mapping]] = ..., requeue_policy: _Optional[str] = ..., max_requeue: _Optional[int] = ..., sensitive: _Optional[bool] = ...) -> None: ...

class ResourceSpec(_message.Message):
    __slots__ = ("min_nodes", "max_nodes", "gpu_type", "features", "topology_hint", "feature_counts")
    class FeatureCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MIN_NODES_FIELD_NUMBER: _ClassVar[int]
    MAX_NODES_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_HINT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    min_nodes: int
    max_nodes: int
    gpu_type: str
    features: _containers.RepeatedScalarFieldContainer[str]
    topology_hint: str
    feature_counts: _containers.ScalarMap[str, int]
    def __init__(self, min_nodes: _Optional[int] = ..., max_nodes: _Optional[int] = ..., gpu_type: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., topology_hint: _Optional[str] = ..., feature_counts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class LifecycleSpec(_message.Message):
    __slots__ = ("type", "walltime", "preemption_class", "reactive_min_nodes", "reactive_max_nodes", "reactive_metric", "reactive_target")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BOUNDED: _ClassVar[LifecycleSpec.Type]
        UNBOUNDED: _ClassVar[LifecycleSpec.Type]
        REACTIVE: _ClassVar[LifecycleSpec.Type]
    BOUNDED: LifecycleSpec.Type
    UNBOUNDED: LifecycleSpec.Type
    REACTIVE: LifecycleSpec.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    WALLTIME_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_CLASS_FIELD_NUMBER: _ClassVar[int]
    REACTIVE_MIN_NODES_FIELD_NUMBER: _ClassVar[int]
    REACTIVE_MAX_NODES_FIELD_NUMBER: _ClassVar[int]
    REACTIVE_METRIC_FIELD_NUMBER: _ClassVar[int]
    REACTIVE_TARGET_FIELD_NUMBER: _ClassVar[int]
    type: LifecycleSpec.Type
    walltime: _duration_pb2.Duration
    preemption_class: int
    reactive_min_nodes: int
    reactive_max_nodes: int
    reactive_metric: str
    reactive_target: str
    def __init__(self, type: _Optional[_Union[LifecycleSpec.Type, str]] = ..., walltime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., preemption_class: _Optional[int] = ..., reactive_min_nodes: _Optional[int] = ..., reactive_max_nodes: _Optional[int] = ..., reactive_metric: _Optional[str] = ..., reactive_target: _Optional[str] = ...) -> None: ...

class ConnectivitySpec(_message.Message):
    __slots__ = ("network_domain", "expose")
    NETWORK_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EXPOSE_FIELD_NUMBER: _ClassVar[int]
    network_domain: str
    expose: _containers.RepeatedCompositeFieldContainer[EndpointSpec]
    def __init__(self, network_domain: _Optional[str] = ..., expose: _Optional[_Iterable[_Union[EndpointSpec, _Mapping]]] = ...) -> None: ...

class EndpointSpec(_message.Message):
    __slots__ = ("name", "port", "protocol")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    name: str
    port: int
    protocol: str
    def __init__(self, name: _Optional[str] = ..., port: _Optional[int] = ..., protocol: _Optional[str] = ...) -> None: ...

class DependencySpec(_message.Message):
    __slots__ = ("ref_id", "condition")
    REF_ID_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    ref_id: str
    condition: str
    def __init__(self, ref_id: _Optional[str] = ..., condition: _Optional[str] = ...) -> None: ...

class CheckpointSpec(_message.Message):
    __slots__ = ("strategy",)
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    def __init__(self, strategy: _Optional[str] = ...) -> None: ...

class TelemetrySpec(_message.Message):
    __slots__ = ("mode", "duration_seconds")
    MODE_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    mode: str
    duration_seconds: int
    def __init__(self, mode: _Optional[str] = ..., duration_seconds: _Optional[int] = ...) -> None: ...

class GetDagRequest(_message.Message):
    __slots__ = ("dag_id",)
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    def __init__(self, dag_id: _Optional[str] = ...) -> None: ...

class DagStatus(_message.Message):
    __slots__ = ("dag_id", "state", "allocations", "created_at", "completed_at")
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    state: str
    allocations: _containers.RepeatedCompositeFieldContainer[AllocationStatus]
    created_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    def __init__(self, dag_id: _Optional[str] = ..., state: _Optional[str] = ..., allocations: _Optional[_Iterable[_Union[AllocationStatus, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDagsRequest(_message.Message):
    __slots__ = ("tenant", "user", "state", "limit", "cursor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    state: str
    limit: int
    cursor: str
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., state: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListDagsResponse(_message.Message):
    __slots__ = ("dags", "next_cursor")
    DAGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    dags: _containers.RepeatedCompositeFieldContainer[DagStatus]
    next_cursor: str
    def __init__(self, dags: _Optional[_Iterable[_Union[DagStatus, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class CancelDagRequest(_message.Message):
    __slots__ = ("dag_id",)
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    def __init__(self, dag_id: _Optional[str] = ...) -> None: ...

class CancelDagResponse(_message.Message):
    __slots__ = ("success", "allocations_cancelled")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ALLOCATIONS_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    allocations_cancelled: int
    def __init__(self, success: _Optional[bool] = ..., allocations_cancelled: _Optional[int] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("single", "dag", "task_group")
    SINGLE_FIELD_NUMBER: _ClassVar[int]
    DAG_FIELD_NUMBER: _ClassVar[int]
    TASK_GROUP_FIELD_NUMBER: _ClassVar[int]
    single: AllocationSpec
    dag: DagSpec
    task_group: TaskGroupSpec
    def __init__(self, single: _Optional[_Union[AllocationSpec, _Mapping]] = ..., dag: _Optional[_Union[DagSpec, _Mapping]] = ..., task_group: _Optional[_Union[TaskGroupSpec, _Mapping]] = ...) -> None: ...

class DagSpec(_message.Message):
    __slots__ = ("allocations",)
    ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    allocations: _containers.RepeatedCompositeFieldContainer[AllocationSpec]
    def __init__(self, allocations: _Optional[_Iterable[_Union[AllocationSpec, _Mapping]]] = ...) -> None: ...

class TaskGroupSpec(_message.Message):
    __slots__ = ("template", "range_start", "range_end", "step", "max_concurrent")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    RANGE_START_FIELD_NUMBER: _ClassVar[int]
    RANGE_END_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    template: AllocationSpec
    range_start: int
    range_end: int
    step: int
    max_concurrent: int
    def __init__(self, template: _Optional[_Union[AllocationSpec, _Mapping]] = ..., range_start: _Optional[int] = ..., range_end: _Optional[int] = ..., step: _Optional[int] = ..., max_concurrent: _Optional[int] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("allocation_ids", "dag_id")
    ALLOCATION_IDS_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    allocation_ids: _containers.RepeatedScalarFieldContainer[str]
    dag_id: str
    def __init__(self, allocation_ids: _Optional[_Iterable[str]] = ..., dag_id: _Optional[str] = ...) -> None: ...
