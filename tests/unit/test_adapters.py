"""The adapters, shape by shape."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

from spyderresp.errors import EventError
from spyderresp.events.formats import BUILT_IN, Adapter, Adapters, adapt
from spyderresp.events.spyderbat import MAX_DEPTH

DOCUMENT = Path(__file__).parents[2] / "docs" / "ADAPTERS.md"

FORMS = {
    "event-deviation": {"schema": "event_deviation:workload:1.0.0", "deviation": {}},
    "guardian-deviation": {"kind": "GuardianDeviation", "metadata": {}},
    "model-process": {"schema": "model_process::1.2.0"},
    "model-container": {"schema": "model_container::1.1.0"},
    "event-redflag": {"schema": "event_redflag:suspicious_command:1.1.0"},
    "event-opsflag": {"schema": "event_opsflag:memoryleak:1.1.0"},
    "falco": {"output_fields": {}},
    "tetragon": {"process_exec": {"process": {}}},
    "normal": {"id": "e1", "process": {"name": "sh"}, "kind": "anything", "schema": None},
}


def process_record(**fields):
    return {"schema": "model_process::1.2.0", **fields}


def flag(**fields):
    return {"schema": "event_redflag:suspicious_command:1.1.0", **fields}


def deviation(*entries, **fields):
    inner = {"spec": {"processPolicy": list(entries)}}
    return {"schema": "event_deviation:workload:1.0.0", "deviation": inner, **fields}


def alert(**fields):
    return {"output_fields": fields}


def refused(record, form=None):
    with pytest.raises(EventError) as caught:
        adapt(record, form)
    return caught.value.path, caught.value.reason


class TestRecognition:
    def test_every_form_is_known_by_its_shape(self):
        assert tuple(FORMS) == BUILT_IN.names
        for form, record in FORMS.items():
            assert BUILT_IN.recognise(record).name == form

    def test_the_least_record_of_each_form_converts(self):
        for form, record in FORMS.items():
            assert adapt(record) == adapt(record, form) == (record if form == "normal" else {})

    @pytest.mark.parametrize("kind", ["model_session", "model_connection", "model_machine", "event_top_data", "", "x"])
    def test_an_unknown_kind_is_named(self, kind):
        assert refused({"schema": f"{kind}::1.0.0"}) == ("schema", f"records of kind `{kind}` hold no deviation")

    def test_a_kind_is_not_a_prefix(self):
        assert refused({"schema": "model_process_group::1.0.0"})[0] == "schema"

    def test_a_long_kind_is_shortened(self):
        assert len(refused({"schema": "k" * 100_000})[1]) < 200

    @pytest.mark.parametrize(
        ("record", "kind"), [([], "a list"), (None, "null"), ("x", "text"), (1, "a number"), (True, "true or false")]
    )
    @pytest.mark.parametrize("form", [None, "falco", "normal"])
    def test_a_record_is_a_mapping(self, record, kind, form):
        assert refused(record, form) == ("", f"the record must be a mapping, not {kind}")

    def test_a_form_chosen_by_name_checks_the_kind(self):
        assert refused({"schema": "model_session::1.2.0"}, "model-process") == (
            "schema",
            "must be of kind `model_process` for this form",
        )
        assert refused({"schema": 5}, "model-process") == ("schema", "must be text, not a number")
        assert adapt({"name": "sh"}, "model-process") == {"process": {"name": "sh"}}

    def test_an_unknown_form_is_refused_with_a_suggestion(self):
        with pytest.raises(ValueError, match=r"`falko` is not a form of event; did you mean `falco`\?") as caught:
            adapt({}, "falko")
        assert not isinstance(caught.value, EventError)
        with pytest.raises(ValueError, match=r"the forms are `event-deviation`, .*`normal`"):
            adapt({}, "")


class TestCollections:
    mine = Adapter("mine", "a test's own", lambda record: "mine" in record, lambda record: {"id": record["mine"]})

    def test_extending_makes_another_collection(self):
        extended = BUILT_IN.extended(self.mine)
        assert extended.names == ("mine", *BUILT_IN.names)
        assert "mine" not in BUILT_IN.names
        assert adapt({"mine": "m1", "output_fields": {}}, adapters=extended) == {"id": "m1"}
        assert adapt({"mine": "m1"}, "mine", extended) == {"id": "m1"}
        assert adapt({"mine": "m1"}) == {"mine": "m1"}
        assert len(extended) == len(list(extended)) == len(BUILT_IN) + 1

    def test_two_of_one_name_are_refused(self):
        with pytest.raises(ValueError, match="there is a form `mine` already"):
            BUILT_IN.extended(self.mine).extended(self.mine)

    def test_a_collection_that_takes_nothing_says_so(self):
        with pytest.raises(EventError, match="no known form"):
            Adapters().adapt({})

    def test_they_are_frozen_and_pickle(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            BUILT_IN.items = ()
        assert pickle.loads(pickle.dumps(BUILT_IN)).names == BUILT_IN.names


class TestNormal:
    def test_it_comes_back_as_a_copy_with_all_it_carries(self):
        record = {"pod": {"labels": {"a": "b"}}, "mine": [{"deep": [1, None]}], "process": None, "service": 5}
        event = adapt(record)
        assert event == record
        assert event["pod"]["labels"] is not record["pod"]["labels"]
        assert event["mine"][0]["deep"] is not record["mine"][0]["deep"]

    def test_depth_and_cycles_and_aliases_are_no_danger(self):
        deep = {}
        for _ in range(100_000):
            deep = {"d": deep}
        assert adapt(deep).keys() == {"d"}
        loop = {"id": "e1"}
        loop["self"] = loop
        event = adapt(loop)
        assert event["self"] is event
        wide = []
        for _ in range(60):
            wide = [wide, wide]
        assert adapt({"mine": wide})["mine"][0] is not wide[0]


class TestModels:
    def test_a_service_of_the_host(self):
        assert adapt(process_record(cgroup="systemd:/system.slice/sshd.service"))["service"] == {
            "name": "sshd.service",
            "cgroup": "systemd:/system.slice/sshd.service",
        }

    @pytest.mark.parametrize(
        ("cgroup", "service"),
        [
            ("/init.scope", {"cgroup": "systemd:/init.scope"}),
            ("/", {"cgroup": "systemd:/"}),
            (
                "/system.slice/docker.service/abc",
                {"name": "docker.service", "cgroup": "systemd:/system.slice/docker.service/abc"},
            ),
            ("systemd:a.service", {"name": "a.service", "cgroup": "systemd:a.service"}),
            ("", None),
            (None, None),
        ],
    )
    def test_the_cgroup_gives_the_service(self, cgroup, service):
        assert adapt(process_record(cgroup=cgroup)).get("service") == service

    def test_a_containers_scope_is_no_service(self):
        scope = "systemd:/kubepods.slice/docker-a1.scope"
        assert adapt(process_record(cgroup=scope, container="a1")) == {"container": {"containerID": "a1"}}
        assert "service" in adapt(process_record(cgroup="/s/docker.service/a1", container="a1"))

    def test_scopes_that_a_process_record_may_have(self):
        event = adapt(
            process_record(
                hostname="node",
                muid="mach:1",
                clustername="c",
                cluster_uid="clus:1",
                container_id="a1",
                pod_name="web",
                pod_uid="pod:1",
                pod_labels={"app": "web", "gone": None},
                pod_namespace="dev",
                pod_namespace_labels={},
            )
        )
        assert event == {
            "cluster": {"name": "c", "uid": "clus:1"},
            "machine": {"hostname": "node", "uid": "mach:1"},
            "namespace": {"name": "dev"},
            "pod": {"name": "web", "uid": "pod:1", "labels": {"app": "web"}},
            "container": {"containerID": "a1"},
        }

    def test_an_empty_text_is_a_value(self):
        assert adapt(process_record(exe="", name=None)) == {"process": {"exe": ""}}

    @pytest.mark.parametrize(
        ("fields", "path", "reason"),
        [
            ({"name": 5}, "name", "must be text, not a number"),
            ({"exe": ["/bin/sh"]}, "exe", "must be text, not a list"),
            ({"euser": {}}, "euser", "must be text, not a mapping"),
            ({"pid": True}, "pid", "must be an integer, not true or false"),
            ({"pid": "7"}, "pid", "must be an integer, not text"),
            ({"ppid": 7.5}, "ppid", "must be an integer"),
            ({"time": False}, "time", "must be text or a number, not true or false"),
            ({"create_time": []}, "create_time", "must be text or a number, not a list"),
            ({"container": 5}, "container", "must be text, not a number"),
            ({"pod_labels": []}, "pod_labels", "must be a mapping, not a list"),
            ({"pod_labels": {"app": 1}}, "pod_labels.app", "must be text, not a number"),
            ({"pod_labels": {1: "x"}}, "pod_labels", "holds a label whose name is not text"),
            ({"id": object()}, "id", "must be text, not something else"),
        ],
    )
    def test_a_value_of_the_wrong_type_is_named_by_its_path(self, fields, path, reason):
        assert refused(process_record(**fields)) == (path, reason)


class TestFlags:
    def test_the_vendors_own_mock(self):
        record = flag(
            id="event_alert:x",
            time=1.5,
            muid="mach:1",
            container="a1",
            container_uid="cont:1",
            cluster_uid="clus:1",
            pod_uid="pod:1",
            ref="proc:1",
            name="curl",
            euser="UID 100",
            severity="high",
        )
        assert adapt(record) == {
            "id": "event_alert:x",
            "time": 1.5,
            "cluster": {"uid": "clus:1"},
            "machine": {"uid": "mach:1"},
            "pod": {"uid": "pod:1"},
            "container": {"containerID": "a1"},
            "process": {"name": "curl", "euser": "UID 100", "uid": "proc:1"},
        }

    def test_a_flag_about_something_else_has_no_process(self):
        assert adapt(flag(ref="conn:1", euser="root")) == {}
        assert adapt({"schema": "event_opsflag:memoryleak:1.1.0", "ref": "mach:1", "muid": "mach:1"}) == {
            "machine": {"uid": "mach:1"}
        }
        assert adapt(flag(ref="conn:1", name="nc")) == {"process": {"name": "nc"}}

    def test_either_form_takes_either_flag(self):
        assert adapt(flag(name="sh"), "event-opsflag") == {"process": {"name": "sh"}}


class TestDeviations:
    def test_the_leaf_is_the_deepest_new_process(self):
        chain = {"name": "sh", "exe": ["/bin/sh"], "children": [{"name": "nc", "exe": ["/bin/nc"], "euser": ["root"]}]}
        expected = {"process": {"name": "nc", "exe": "/bin/nc", "euser": "root"}}
        assert adapt(deviation(chain)) == expected
        assert adapt(deviation({"policyNode": {"id": "a", "children": [chain]}})) == expected

    def test_of_several_leaves_the_first_is_taken(self):
        one, two = {"name": "one"}, {"name": "two"}
        root = {"name": "root", "children": [one, two]}
        assert adapt(deviation(root))["process"] == {"name": "one"}
        assert adapt(deviation({"policyNode": {"id": "a"}}, two, one))["process"] == {"name": "two"}
        nameless = {"id": "x", "children": [{"id": "y"}]}
        assert adapt(deviation({"name": "root", "children": [nameless, one]}))["process"] == {"name": "one"}

    def test_one_of_several_is_never_guessed(self):
        leaf = {"name": "sh", "exe": ["/bin/sh", "/bin/dash"], "euser": []}
        assert adapt(deviation(leaf))["process"] == {"name": "sh"}
        assert adapt(deviation({"name": "sh", "exe": "/bin/sh"}))["process"] == {"name": "sh", "exe": "/bin/sh"}

    def test_without_a_new_process_there_is_the_reference_or_nothing(self):
        record = deviation()
        record["deviation"]["spec"] = {"networkPolicy": {"egress": []}}
        assert adapt(record) == {}
        assert adapt({**record, "ref": "proc:1"}) == {"process": {"uid": "proc:1"}}
        assert adapt({**record, "ref": "cont:1"}) == {}

    def test_the_deviation_inside_fills_gaps(self):
        inner = {
            "metadata": {
                "uid": "dev:1",
                "policy_uid": "pol:1",
                "scopes": {
                    "podSelector": {"labels": {"app": "web"}},
                    "clusterSelector": {"name": "c", "uid": "clus:1"},
                },
            }
        }
        record = {"schema": "event_deviation:cluster:1.0.0", "deviation": inner, "cluster_name": "own", "pod_name": "p"}
        assert adapt(record) == {
            "id": "dev:1",
            "policy_uid": "pol:1",
            "cluster": {"name": "own", "uid": "clus:1"},
            "pod": {"labels": {"app": "web"}, "name": "p"},
        }

    def test_the_scopes_of_a_guardian_deviation(self):
        record = {
            "kind": "GuardianDeviation",
            "metadata": {
                "scopes": {
                    "namespaceSelector": {"name": "dev", "labels": None},
                    "podSelector": {"name": "p", "uid": "pod:1", "kuid": "k"},
                    "serviceSelector": {"cgroup": "/system.slice/ssh.service"},
                    "processSelector": {"name": "sh", "exe": ["/bin/sh"], "pid": 7},
                    "machineSelector": None,
                    "futureSelector": "anything",
                }
            },
            "spec": {"processPolicy": [{"name": "dash"}]},
        }
        assert adapt(record) == {
            "namespace": {"name": "dev"},
            "pod": {"name": "p", "uid": "pod:1", "kuid": "k"},
            "service": {"name": "ssh.service", "cgroup": "systemd:/system.slice/ssh.service"},
            "process": {"name": "dash", "exe": "/bin/sh", "pid": 7},
        }

    @pytest.mark.parametrize(
        ("record", "path", "reason"),
        [
            ({"schema": "event_deviation:w:1"}, "deviation", "is missing"),
            ({"schema": "event_deviation:w:1", "deviation": []}, "deviation", "must be a mapping, not a list"),
            ({"kind": "GuardianDeviation"}, "metadata", "is missing"),
            ({"kind": "GuardianDeviation", "metadata": "x"}, "metadata", "must be a mapping, not text"),
            (
                {"kind": "GuardianDeviation", "metadata": {"scopes": {"podSelector": {"labels": {"a": 1}}}}},
                "metadata.scopes.podSelector.labels.a",
                "must be text, not a number",
            ),
            (deviation("x"), "deviation.spec.processPolicy[0]", "must be a mapping, not text"),
            (
                deviation({"policyNode": {"children": [{"name": "a"}, 7]}}),
                "deviation.spec.processPolicy[0].policyNode.children[1]",
                "must be a mapping, not a number",
            ),
            (
                deviation({"policyNode": 1}),
                "deviation.spec.processPolicy[0].policyNode",
                "must be a mapping, not a number",
            ),
            (deviation({"name": 1}), "deviation.spec.processPolicy[0].name", "must be text, not a number"),
            (
                deviation({"name": "a", "exe": ["/a", 1]}),
                "deviation.spec.processPolicy[0].exe[1]",
                "must be text, not a number",
            ),
            (
                deviation({"name": "a", "exe": {}}),
                "deviation.spec.processPolicy[0].exe",
                "must be text or a list of texts, not a mapping",
            ),
            (
                deviation({"name": "a", "children": {}}),
                "deviation.spec.processPolicy[0].children",
                "must be a list, not a mapping",
            ),
        ],
    )
    def test_a_malformed_record_is_refused_by_its_path(self, record, path, reason):
        assert refused(record) == (path, reason)

    def test_a_hostile_depth_is_refused(self):
        node = {"name": "leaf"}
        for _ in range(MAX_DEPTH - 1):
            node = {"name": "n", "children": [node]}
        assert adapt(deviation(node))["process"] == {"name": "leaf"}
        path, reason = refused(deviation({"name": "n", "children": [node]}))
        assert path.endswith(".children[0]")
        assert reason == f"is nested more than {MAX_DEPTH} processes deep"
        loop = {"name": "n"}
        loop["children"] = [loop]
        assert refused(deviation(loop))[1] == reason


class TestFalco:
    def test_a_process_of_the_host_has_no_container(self):
        host = {"container.id": "host", "container.name": "host", "k8s.ns.name": None, "proc.name": "sh"}
        assert adapt(alert(**host)) == {"process": {"name": "sh"}}
        assert adapt(alert(**{"container.name": "host"})) == {}
        assert adapt(alert(**{"container.id": "a1", "container.name": "host"})) == {
            "container": {"containerName": "host", "containerID": "a1"}
        }

    def test_the_mark_for_unknown_is_absence(self):
        assert adapt(alert(**{"proc.name": "<NA>", "proc.pid": "<NA>", "k8s.pod.name": "<NA>"})) == {}

    def test_the_exe_is_never_argv(self):
        assert adapt(alert(**{"proc.exe": "/bin/true", "proc.exepath": "/bin/sh"}))["process"] == {"exe": "/bin/sh"}
        assert adapt(alert(**{"proc.exe": "/bin/true"})) == {}

    @pytest.mark.parametrize(
        ("repository", "tag", "whole", "image"),
        [
            ("nginx", "1.25", "other", "nginx:1.25"),
            ("nginx", None, "other", "nginx"),
            ("nginx", "<NA>", None, "nginx"),
            ("nginx", "", None, "nginx"),
            (None, "1.25", "other:1", "other:1"),
            (None, None, "", ""),
            ("", "1.25", None, ""),
        ],
    )
    def test_the_image_is_put_together(self, repository, tag, whole, image):
        fields = {
            "container.image.repository": repository,
            "container.image.tag": tag,
            "container.image": whole,
            "container.image.id": "6f7e",
            "container.image.digest": "sha256:d9",
        }
        assert adapt(alert(**fields)) == {"container": {"image": image}}

    @pytest.mark.parametrize(
        ("fields", "labels"),
        [
            ({"k8s.pod.labels": "app:web, tier:front"}, {"app": "web", "tier": "front"}),
            ({"k8s.pod.labels": "a.io/n:web,alone"}, {"a.io/n": "web", "alone": ""}),
            ({"k8s.pod.labels": "app:web, two words:x"}, None),
            ({"k8s.pod.labels": "a:b:c"}, None),
            ({"k8s.pod.labels": ""}, None),
            ({"k8s.pod.labels": {"app": "web"}}, {"app": "web"}),
            ({"k8s.pod.label.app": "web", "k8s.pod.label[a.io/n]": "x"}, {"app": "web", "a.io/n": "x"}),
            ({"k8s.pod.labels": "app:old,b:c", "k8s.pod.label.app": "web"}, {"app": "web", "b": "c"}),
            ({"k8s.pod.label.app": "", "k8s.pod.label.": "x", "k8s.pod.label": "y"}, None),
            ({"k8s.pod.label.app": "<NA>"}, None),
        ],
    )
    def test_labels_are_read_in_falcos_forms(self, fields, labels):
        assert adapt(alert(**fields)).get("pod") == (labels and {"labels": labels})

    @pytest.mark.parametrize(
        ("record", "path", "reason"),
        [
            ({"output_fields": None}, "output_fields", "is missing"),
            ({"output_fields": []}, "output_fields", "must be a mapping, not a list"),
            (alert(**{"proc.pid": 1.5}), "output_fields.proc.pid", "must be an integer"),
            (alert(**{"k8s.pod.label.app": 1}), "output_fields.k8s.pod.label.app", "must be text, not a number"),
            (alert(**{"k8s.pod.labels": 1}), "output_fields.k8s.pod.labels", "must be a mapping, not a number"),
        ],
    )
    def test_a_malformed_alert_is_refused_by_its_path(self, record, path, reason):
        assert refused(record) == (path, reason)

    def test_the_old_name_of_the_pod_uid(self):
        assert adapt(alert(**{"k8s.pod.id": "old"})) == {"pod": {"kuid": "old"}}
        assert adapt(alert(**{"k8s.pod.id": "old", "k8s.pod.uid": "new"})) == {"pod": {"kuid": "new"}}


class TestTetragon:
    @pytest.mark.parametrize(
        "kind",
        ["process_exec", "process_exit", "process_kprobe", "process_tracepoint", "process_uprobe", "process_lsm"],
    )
    def test_every_kind_with_a_process(self, kind):
        record = {kind: {"process": {"binary": "/usr/bin/nc", "pid": 7, "pod": None}, "parent": {"pid": 1}}}
        assert BUILT_IN.recognise(record).name == "tetragon"
        assert adapt(record) == {"process": {"name": "nc", "exe": "/usr/bin/nc", "pid": 7, "ppid": 1}}

    @pytest.mark.parametrize("identity", ["containerd://a1", "docker://a1", "cri-o://a1", "a1"])
    def test_the_container_id_loses_its_runtime(self, identity):
        record = {"process_exec": {"process": {"pod": {"workload": "w", "container": {"id": identity}}}}}
        assert adapt(record) == {"container": {"containerID": "a1"}}

    @pytest.mark.parametrize(
        ("record", "path", "reason"),
        [
            ({"process_exec": None}, "process_exec", "is missing"),
            ({"process_exit": {}}, "process_exit.process", "is missing"),
            ({"process_exec": {"process": 1}}, "process_exec.process", "must be a mapping, not a number"),
            (
                {"process_exec": {"process": {}, "parent": {"pid": "1"}}},
                "process_exec.parent.pid",
                "must be an integer, not text",
            ),
            (
                {"process_throttle": {"type": "THROTTLE_START"}},
                "process_throttle",
                "tetragon events of kind `process_throttle` have no process",
            ),
            ({"rate_limit_info": {}}, "rate_limit_info", "tetragon events of kind `rate_limit_info` have no process"),
        ],
    )
    def test_a_malformed_event_is_refused_by_its_path(self, record, path, reason):
        assert refused(record) == (path, reason)

    def test_by_name_an_event_is_needed(self):
        assert refused({}, "tetragon") == ("process_exec", "is missing")


def test_label_mappings_are_copies():
    records = [
        process_record(pod_labels={"a": "b"}),
        {"kind": "GuardianDeviation", "metadata": {"scopes": {"podSelector": {"labels": {"a": "b"}}}}},
        alert(**{"k8s.pod.labels": {"a": "b"}}),
        {"process_exec": {"process": {"pod": {"pod_labels": {"a": "b"}}}}},
    ]
    for record in records:
        before = copy.deepcopy(record)
        event = adapt(record)
        assert event["pod"]["labels"] == {"a": "b"}
        event["pod"]["labels"]["a"] = "changed"
        assert record == before


def test_the_document_names_every_form():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in BUILT_IN.names if f"| `{name}` |" not in text] == []
