"""Whatever a record holds, adapting it gives an event or an EventError, and leaves the record alone."""

import copy
from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from spyderresp.errors import EventError
from spyderresp.events.formats import BUILT_IN, adapt

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
#: Keys that the adapters read, so that a record often comes near to one of the shapes.
WORDS = [
    "id",
    "time",
    "schema",
    "kind",
    "name",
    "exe",
    "euser",
    "pid",
    "ppid",
    "uid",
    "ref",
    "cgroup",
    "container",
    "container_id",
    "container_name",
    "image",
    "image_id",
    "create_time",
    "muid",
    "hostname",
    "clustername",
    "cluster_name",
    "cluster_uid",
    "namespace",
    "pod",
    "pod_name",
    "pod_uid",
    "pod_kuid",
    "pod_labels",
    "pod_namespace",
    "pod_namespace_labels",
    "policy_uid",
    "policy_name",
    "deviation",
    "metadata",
    "scopes",
    "spec",
    "processPolicy",
    "policyNode",
    "children",
    "labels",
    "podSelector",
    "namespaceSelector",
    "serviceSelector",
    "processSelector",
    "containerSelector",
    "clusterSelector",
    "output_fields",
    "container.id",
    "container.image.repository",
    "container.image.tag",
    "k8s.pod.labels",
    "k8s.pod.label.app",
    "k8s.ns.name",
    "proc.name",
    "proc.exepath",
    "proc.pid",
    "process_exec",
    "process_exit",
    "process_throttle",
    "process",
    "parent",
    "binary",
    "exec_id",
    "start_time",
    "node_name",
]
KEYS = st.sampled_from(WORDS) | st.text(max_size=6)
TEXTS = st.sampled_from(
    ["host", "<NA>", "proc:1", "conn:1", "GuardianDeviation", "a:b, c", "containerd://1", "/a.service"]
)
JSON = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)
RECORDS = st.dictionaries(KEYS, JSON, max_size=10)
SCHEMAS = st.sampled_from(
    ["model_process", "model_container", "event_redflag", "event_opsflag", "event_deviation", "x"]
)
MARKED = st.one_of(
    RECORDS,
    st.builds(lambda record, kind: {**record, "schema": f"{kind}::1.0.0"}, RECORDS, SCHEMAS),
    st.builds(lambda record, inner: {**record, "output_fields": inner}, RECORDS, RECORDS),
    st.builds(lambda record, inner: {**record, "process_exec": {"process": inner}}, RECORDS, RECORDS),
    st.builds(lambda record, inner: {**record, "deviation": inner}, RECORDS, RECORDS),
    st.builds(lambda inner: {"kind": "GuardianDeviation", "metadata": {"scopes": inner}, "spec": inner}, RECORDS),
)
FORMS = st.none() | st.sampled_from(BUILT_IN.names)


def mutable_parts(value):
    """Return the identity of every mapping and list in a value."""
    found = {}
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (dict, list)) and id(item) not in found:
            found[id(item)] = item
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return found


def nulls(value):
    return value is None or (isinstance(value, Mapping) and any(nulls(item) for item in value.values()))


@given(JSON | MARKED, FORMS)
@example([], "normal")
@example({"output_fields": {"k8s.pod.labels": "a:b"}}, None)
def test_an_event_or_an_event_error_and_nothing_else(record, form):
    first = ""
    before = copy.deepcopy(record)
    try:
        event = adapt(record, form)
    except EventError as error:
        first = error.reason[0]
        event = None
    if event is None:
        assert first.islower()
    else:
        assert type(event) is dict
        assert not mutable_parts(event).keys() & mutable_parts(record).keys()
        used = form or BUILT_IN.recognise(record).name
        if used == "normal":
            assert event == record
        else:
            assert not nulls(event)
            assert {} not in event.values()
    assert record == before


@given(MARKED)
def test_recognition_and_the_forms_name_agree(record):
    try:
        form = BUILT_IN.recognise(record).name
        event = adapt(record)
    except EventError:
        return
    assert adapt(record, form) == event


@given(MARKED)
def test_an_event_is_recognised_as_normal(record):
    try:
        event = adapt(record)
    except EventError:
        return
    assert BUILT_IN.recognise(event).name == "normal"
    assert adapt(event) == event
