//! VMs that other programs describe, as requests and as tenants. All texts are made up.

use crate::program::{file, json, recommend, status, text};

/// A VM on the made-up host `rtx-4090-nps4`.
const CONF: &str = "\
# made up
affinity: 0-15,128-143
cores: 8
hostpci0: 01:00,pcie=1
memory: 16384
name: made-up
numa: 1
numa0: cpus=0-7,hostnodes=0,memory=16384,policy=bind
ostype: l26
sockets: 1
";

const HOST: &str = "fixtures/hosts/rtx-4090-nps4.json";

#[test]
fn a_vm_of_proxmox_is_a_request() {
    let conf = file("request.conf", &CONF.replace("01:00", "0000:01:00.0"));
    let output = recommend(&["--host", HOST, "--request", conf.to_str().unwrap()]);
    let answer = text(&output.stdout);
    assert_eq!(status(&output), 0, "{answer}{}", text(&output.stderr));
    assert!(answer.contains("Asked for: made-up: 8 vCPUs, 16 GiB, GPUs 0000:01:00.0"), "{answer}");
}

#[test]
fn a_vm_of_proxmox_is_a_tenant_named_after_its_file_if_it_has_no_name() {
    let folder = file("vms-folder", "").with_file_name("qemu-server");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("101.conf"), CONF.replace("name: made-up\n", "")).unwrap();
    let tenants = folder.to_str().unwrap();
    let vm = ["--host", HOST, "--vcpus", "4", "--memory", "4GiB"];
    let (status, answer) = json(&[&vm[..], &["--gpu", "01:00.0", "--tenant", tenants]].concat());
    assert_eq!(status, 3, "{answer}");
    assert!(answer.to_string().contains("\"101\""), "{answer}");
}

#[test]
fn a_vm_of_kubevirt_is_a_request() {
    let vm = serde_json::json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": "made-up"}, "spec": {"domain": {
            "cpu": {"cores": 4}, "memory": {"guest": "8Gi"},
            "devices": {"gpus": [{"name": "gpu0", "deviceName": "nvidia.com/CARD"}]}}}});
    let vm = file("vmi.json", &vm.to_string());
    let output = recommend(&["--host", HOST, "--request", vm.to_str().unwrap()]);
    let answer = text(&output.stdout);
    assert_eq!(status(&output), 0, "{answer}{}", text(&output.stderr));
    assert!(answer.contains("Asked for: made-up: 4 vCPUs, 8 GiB, 1 GPUs, no other"), "{answer}");
    assert!(answer.contains("any GPU counts"), "{answer}");
}

/// A host and a domain to patch are other things, and the sentence says what to do.
#[test]
fn a_vm_in_the_wrong_place_is_told_the_right_one() {
    let conf = file("wrong-place.conf", CONF);
    let conf = conf.to_str().unwrap();
    let vm = ["--vcpus", "4", "--memory", "4GiB"];
    for (arguments, wanted) in [
        (["--host", conf], "a domain is a tenant"),
        (["--domain", conf], "give this VM with --request"),
    ] {
        let output = recommend(&[&arguments[..], &vm].concat());
        let sentence = text(&output.stderr);
        assert_eq!((status(&output), sentence.lines().count()), (2, 1), "{sentence}");
        assert!(sentence.contains(wanted), "{sentence}");
    }
}

#[test]
fn what_is_pasted_around_a_request_does_not_matter() {
    let plain = r#"{"name": "made-up", "vcpus": 4, "memory": "8 GiB"}"#;
    let pasted =
        format!("\u{feff}user@host:~$ cat vm.json\r\n```json\r\n{plain}\r\n```\r\nuser@host:~$ ");
    let answers = [("plain.json", plain), ("pasted.json", &pasted)].map(|(name, text)| {
        let request = file(name, text);
        json(&["--host", HOST, "--request", request.to_str().unwrap()])
    });
    assert_eq!((answers[0].0, &answers[0].1), (0, &answers[1].1));
}

#[test]
fn an_unknown_text_names_what_is_read_and_the_command_that_prints_it() {
    let unknown = file("unknown.conf", "hello\nworld\n");
    let unknown = unknown.to_str().unwrap();
    let sizes = ["--vcpus", "4", "--memory", "8GiB"];
    let tenant = [&["--host", HOST, "--tenant", unknown][..], &sizes].concat();
    for arguments in [&["--host", HOST, "--request", unknown][..], &tenant] {
        let output = recommend(arguments);
        let sentence = text(&output.stderr);
        assert_eq!((status(&output), sentence.trim_end().lines().count()), (2, 1), "{sentence}");
        for known in ["unknown.conf: ", "\"hello\"", "virsh dumpxml DOMAIN", "qm config ID"] {
            assert!(sentence.contains(known), "{sentence}");
        }
    }
}

/// PowerShell writes UTF-16 with carriage returns.
#[test]
fn texts_of_windows_and_pasted_domains_are_read() {
    let conf = format!("PS> qm config 101\r\n{}", CONF.replace('\n', "\r\n"));
    let wide: Vec<u8> = conf.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let windows = file("windows.conf", "");
    std::fs::write(&windows, [&[0xff, 0xfe][..], &wide].concat()).unwrap();
    let plain = file("plain.conf", CONF);
    let ask = |path: &std::path::Path| json(&["--host", HOST, "--request", path.to_str().unwrap()]);
    let (status, answer) = ask(&windows);
    assert_eq!((status, &answer["ranked"]), (0, &ask(&plain).1["ranked"]));
    let domain = "<domain type='kvm'><name>made-up</name><memory unit='GiB'>4</memory>\
                  <vcpu>2</vcpu><os><type machine='q35'>hvm</type></os></domain>";
    let pasted = file("pasted-domain.md", &format!("# virsh dumpxml vm\n```xml\n{domain}\n```\n"));
    let output = recommend(&["--host", HOST, "--domain", pasted.to_str().unwrap()]);
    assert_eq!(self::status(&output), 0, "{}", text(&output.stderr));
    std::fs::write(&windows, [0xff, 0xfe, 0]).unwrap();
    let output = recommend(&["--host", HOST, "--request", windows.to_str().unwrap()]);
    let sentence = text(&output.stderr);
    assert!(sentence.contains("windows.conf: it is neither UTF-8 nor UTF-16"), "{sentence}");
}
