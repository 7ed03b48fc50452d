//! Synthetic VMs, made up for these tests.

use super::request_of_vm;
use crate::{VmError, read_vm};
use pinwise::host::{CoreSpec, Host, HostSpec, NodeSpec};
use pinwise::request::{Guest, Wish};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, NodeId, PackageId, PageSize, PcpuId};
use serde_json::{Value, json};

fn host() -> Host {
    let core = |n: u32| CoreSpec::new(PackageId(0), n, [PcpuId(n)].into_iter().collect::<CpuSet>());
    let cpus: CpuSet = (0..4).map(PcpuId).collect();
    let nodes = vec![NodeSpec::new(NodeId(0), cpus, Bytes::from_gib(8))];
    HostSpec { nodes, cores: (0..4).map(core).collect(), ..HostSpec::default() }.build().unwrap()
}

fn domain() -> Value {
    json!({
        "cpu": {"sockets": 1, "cores": 4, "threads": 2, "dedicatedCpuPlacement": true,
                "isolateEmulatorThread": true, "numa": {"guestMappingPassthrough": {}}},
        "memory": {"guest": "16Gi", "hugepages": {"pageSize": "1Gi"}},
        "resources": {"requests": {"memory": "17Gi", "cpu": "8"}},
        "ioThreadsPolicy": "auto",
        "features": {"hyperv": {"relaxed": {}}},
        "firmware": {"uuid": "00000000-0000-4000-8000-000000000001"},
        "devices": {
            "gpus": [{"name": "gpu0", "deviceName": "nvidia.com/CARD"}],
            "hostDevices": [{"name": "gpu1", "deviceName": "nvidia.com/CARD"},
                            {"name": "nic", "deviceName": "maker.com/nic"}],
            "disks": [{"name": "root", "dedicatedIOThread": true}, {"name": "data"}],
            "interfaces": [{"name": "default", "masquerade": {}}, {"name": "fast", "sriov": {}}]
        }
    })
}

fn instance(domain: &Value) -> String {
    let object = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": "made-up", "namespace": "default"}, "spec": {"domain": domain},
        "status": {"phase": "Running"}});
    serde_json::to_string_pretty(&object).unwrap()
}

#[test]
fn an_instance_is_a_request() {
    let asked = request_of_vm(&instance(&domain())).unwrap();
    let request = &asked.request;
    assert_eq!(
        (&*request.name, request.vcpus, request.memory),
        ("made-up", 8, Bytes::from_gib(16))
    );
    assert_eq!((request.page_size, request.smt), (Some(PageSize::GIB_1), Wish::Prefer(true)));
    assert_eq!((request.emulator_pcpus, request.io_threads), (1, 1));
    assert_eq!((request.guest, request.gpus.count()), (Guest::Windows, 2));
    assert_eq!(asked.uuid.as_deref(), Some("00000000-0000-4000-8000-000000000001"));
    let notes: Vec<String> = asked.notes.iter().map(ToString::to_string).collect();
    let expected = [
        "only the device plugin knows the GPUs of \"nvidia.com/CARD\": any GPU counts",
        "only the device plugin knows the device of \"maker.com/nic\": it is left out",
        "the SR-IOV interface is left out",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn a_vm_is_the_instance_that_it_describes() {
    let vm = |spec: Value| {
        json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
               "metadata": {"name": "made-up"}, "spec": spec})
        .to_string()
    };
    let described = vm(json!({"template": {"spec": {"domain": domain()}}}));
    assert_eq!(request_of_vm(&described), request_of_vm(&instance(&domain())));
    let typed = vm(json!({"instancetype": {"name": "u1.large"},
                          "template": {"spec": {"domain": {"devices": {}}}}}));
    let error = request_of_vm(&typed).unwrap_err();
    assert!(error.to_string().contains("kubectl get vmi NAME -o json"), "{error}");
}

#[test]
fn sizes_come_from_the_resources_if_the_guest_states_none() {
    let small = json!({"resources": {"requests": {"cpu": "2500m"}, "limits": {"memory": "1G"}}});
    let asked = request_of_vm(&instance(&small)).unwrap();
    assert_eq!((asked.request.vcpus, asked.request.memory), (3, Bytes::from_mib(954)));
    assert_eq!(asked.notes[0].to_string(), "memory \"1G\" is rounded up to 954 MiB");
    assert_eq!(asked.request.io_threads, 0);
    let one = json!({"memory": {"guest": "1Gi"}});
    let asked = request_of_vm(&instance(&one)).unwrap();
    assert_eq!(asked.request.vcpus, 1);
    assert_eq!(asked.notes[0].to_string(), "no number of vCPUs is given: KubeVirt gives one");
}

#[test]
fn io_threads_follow_the_policy() {
    for (policy, threads) in [(Some("shared"), 2), (Some("supplementalPool"), 4), (None, 2)] {
        let mut domain = domain();
        domain["ioThreadsPolicy"] = policy.into();
        domain["ioThreads"] = json!({"supplementalPoolThreadCount": 4});
        let asked = request_of_vm(&instance(&domain)).unwrap();
        assert_eq!(asked.request.io_threads, threads, "{policy:?}");
    }
    let mut domain = domain();
    domain["cpu"]["isolateEmulatorThread"] = false.into();
    assert_eq!(request_of_vm(&instance(&domain)).unwrap().request.io_threads, 2);
}

#[test]
fn what_cannot_be_is_an_error_with_its_place() {
    for (path, value, sentence) in [
        (
            "/cpu/cores",
            json!(100_000),
            "spec.domain.cpu \"1 x 100000 x 2\" is not a number of vCPUs up to 4096",
        ),
        (
            "/memory/guest",
            json!("16 GB"),
            "spec.domain.memory.guest \"16 GB\" is not an amount of memory such as 8Gi",
        ),
        (
            "/memory/hugepages/pageSize",
            json!("3Mi"),
            "spec.domain.hugepages.pageSize \"3Mi\" is not a page size such as 2Mi",
        ),
        (
            "/ioThreadsPolicy",
            json!("many"),
            "spec.domain.ioThreadsPolicy \"many\" is not shared, auto or supplementalPool",
        ),
    ] {
        let mut domain = domain();
        *domain.pointer_mut(path).unwrap() = value;
        let error = request_of_vm(&instance(&domain)).unwrap_err();
        assert_eq!(error.to_string(), sentence);
    }
    let mut wrong = domain();
    wrong["cpu"]["cores"] = "four".into();
    let error = request_of_vm(&instance(&wrong)).unwrap_err().to_string();
    assert!(error.contains("at spec.domain.cpu.cores: invalid type: string \"four\""), "{error}");
    let error = request_of_vm(&instance(&json!({}))).unwrap_err();
    assert_eq!(error.to_string(), "the VM has neither memory.guest nor resources.requests.memory");
    let yaml = "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\n";
    let error = read_vm(&host(), yaml).unwrap_err();
    assert_eq!(error, VmError::Kubevirt(super::KubevirtError::Yaml));
    let list =
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "kubevirt.io/v1"}]}"#;
    let error = read_vm(&host(), list).unwrap_err().to_string();
    assert!(error.starts_with("the object's kind is \"List\""), "{error}");
}
