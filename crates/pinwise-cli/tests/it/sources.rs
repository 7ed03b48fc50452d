//! What a host can be read from: facts beside it, a folder, a capture, a container.

use std::path::Path;

use serde_json::Value;

use crate::program::{file, fixture, json, pinwise, recommend, status, text};

/// A table of nvidia-smi: this number of GPUs, the first half on node 0, the others on node 2.
fn topo(gpus: usize) -> String {
    let names: Vec<String> = (0..gpus).map(|gpu| format!("GPU{gpu}")).collect();
    let mut text = format!("\t{}\tCPU Affinity\tNUMA Affinity\n", names.join("\t"));
    for gpu in 0..gpus {
        let cells: Vec<_> =
            (0..gpus).map(|other| if other == gpu { "X" } else { "NV12" }).collect();
        let node = if gpu < gpus / 2 { 0 } else { 2 };
        text += &format!("GPU{gpu}\t{}\tN/A\t{node}\n", cells.join("\t"));
    }
    text
}

#[test]
fn facts_are_laid_over_a_host_and_the_text_says_where_each_part_is_from() {
    let host = fixture("hgx-h200-snc2.json");
    let mut host: Value = serde_json::from_str(&host).unwrap();
    host.as_object_mut().unwrap().remove("gpu_links");
    let bare = file("no-links.json", &host.to_string());
    let (right, wrong) = (file("topo-8.txt", &topo(8)), file("topo-4.txt", &topo(4)));
    let bare = bare.to_str().unwrap();
    let sized = ["--vcpus", "32", "--memory", "256GiB", "--gpus", "2", "--host", bare, "--facts"];
    let output = recommend(&[&sized[..], &[right.to_str().unwrap()]].concat());
    let answer = text(&output.stdout);
    let line = answer.lines().next().unwrap();
    assert!(line.starts_with("vm1 on hgx-h200-snc2: 2 x INTEL"), "{line}");
    assert!(line.contains("; CPUs, memory, distances, PCI, fabric partitions from "), "{line}");
    assert!(line.contains("no-links.json; GPU links from nvidia-smi topo -m ("), "{line}");
    assert!(line.ends_with("topo-8.txt)"), "{line}");
    // Another machine's: nothing is taken, and the text says so.
    let wrong = [&sized[..], &[wrong.to_str().unwrap()]].concat();
    let output = recommend(&wrong);
    let answer = text(&output.stdout);
    let conflict = answer.lines().next().unwrap();
    assert!(conflict.starts_with("Conflict: nvidia-smi topo -m ("), "{conflict}");
    assert!(conflict.contains("numbers 4 GPUs") && conflict.contains("has 8"), "{conflict}");
    assert!(!answer.contains("GPU links from"), "{answer}");
    let (_, answer) = json(&wrong);
    assert!(answer["host"]["conflicts"][0].as_str().unwrap().starts_with("nvidia-smi topo -m"));
    assert_eq!(answer["host"]["sources"][0]["part"], "cpus");
    // XML has no place for them.
    let output = recommend(&[&wrong[..], &["--format", "xml"]].concat());
    assert!(text(&output.stderr).starts_with("conflict: nvidia-smi"));
    assert!(text(&output.stdout).contains("<vcpupin"));
    let nonsense = file("nonsense.txt", "what\nis\nthis");
    let output = recommend(&["--host", bare, "--facts", nonsense.to_str().unwrap()]);
    assert_eq!(status(&output), 2);
    let sentence = text(&output.stderr);
    assert!(
        sentence.contains("nonsense.txt: the text begins with") && sentence.contains("\"what\"")
    );
}

#[test]
fn a_folder_of_what_an_operator_sent_is_a_host() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sent");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    file(
        "sent/capabilities.xml",
        "<capabilities><host><topology><cells num='1'><cell id='0'>\
         <memory unit='KiB'>8388608</memory><cpus num='2'>\
         <cpu id='0' socket_id='0' core_id='0' siblings='0'/>\
         <cpu id='1' socket_id='0' core_id='1' siblings='1'/>\
         </cpus></cell></cells></topology></host></capabilities>",
    );
    file(
        "sent/numa.txt",
        "available: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 8192 MB\nnode 0 free: 3072 MB\n",
    );
    let host = folder.to_str().unwrap();
    let output = recommend(&["--host", host, "--vcpus", "1", "--memory", "1GiB"]);
    let answer = text(&output.stdout);
    let line = answer.lines().find(|line| line.starts_with("vm1 on ")).unwrap_or_default();
    assert!(line.contains("; CPUs, memory from virsh capabilities; memory from numactl"), "{line}");
    assert!(line.contains("numa.txt)"), "{line}");
    // Of 8 GiB no more than three are free.
    let output = recommend(&["--host", host, "--vcpus", "1", "--memory", "4GiB"]);
    assert_eq!(status(&output), 3, "{}", text(&output.stdout));
}

#[test]
fn a_capture_mixes_sources_keeps_where_they_are_from_and_redacts() {
    let host = fixture("hgx-h200-snc2.json");
    let mut host: Value = serde_json::from_str(&host).unwrap();
    host.as_object_mut().unwrap().remove("gpu_links");
    host["name"] = "ann-box".into();
    host["about"] = "sent by ann@example.com from ann-box".into();
    host["devices"][0]["name"] = "card of 52:54:00:12:34:56".into();
    let host = file("capture.json", &host.to_string());
    let facts = file("capture-topo.txt", &topo(8));
    let from = ["capture", "--from", host.to_str().unwrap(), facts.to_str().unwrap()];
    let plain = pinwise(&from);
    assert_eq!(status(&plain), 0, "{}", text(&plain.stderr));
    let redacted = pinwise(&[&from[..], &["--redact"]].concat());
    let (before, after) = (text(&plain.stdout), text(&redacted.stdout));
    for name in ["ann", "52:54:00", "capture-topo.txt)"] {
        assert!(before.contains(name), "{name}");
    }
    assert!(!after.contains("ann") && !after.contains("52:54:00"), "{after}");
    assert!(
        after.contains(r#"{"part":"gpu_links","from":"nvidia-smi topo -m (capture-topo.txt)"}"#)
    );
    let said = text(&redacted.stderr);
    for what in ["the host's name", "an e-mail address, 1 times", "a MAC address", "the folders"] {
        assert!(said.contains(&format!("redacted: {what}")), "{said}");
    }
    // What was captured is a host again, the same bytes.
    let again = file("captured.json", &after);
    let (status, answer) =
        json(&["--host", again.to_str().unwrap(), "--vcpus", "4", "--memory", "8GiB"]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(after.matches("\"kind\":\"nvlink\"").count(), 28);
}

#[test]
fn xml_of_a_host_is_known_by_its_root_element() {
    let capabilities = file(
        "capabilities.xml",
        "<capabilities><host><topology><cells num='1'><cell id='0'>\
         <memory unit='KiB'>8388608</memory><cpus num='2'>\
         <cpu id='0' socket_id='0' core_id='0' siblings='0'/>\
         <cpu id='1' socket_id='0' core_id='1' siblings='1'/>\
         </cpus></cell></cells></topology></host></capabilities>",
    );
    let topology = file(
        "topology.xml",
        "<?xml version=\"1.0\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">\
         <object type=\"Machine\" os_index=\"0\" cpuset=\"0x3\"><object type=\"Package\" os_index=\"0\">\
         <object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x3\" local_memory=\"8589934592\"/>\
         <object type=\"Core\" os_index=\"0\"><object type=\"PU\" os_index=\"0\"/></object>\
         <object type=\"Core\" os_index=\"1\"><object type=\"PU\" os_index=\"1\"/></object>\
         </object></object></topology>",
    );
    for host in [capabilities, topology] {
        let host = host.to_str().unwrap();
        let (status, answer) = json(&["--host", host, "--vcpus", "1", "--memory", "1GiB"]);
        assert_eq!(status, 0, "{host}: {answer}");
    }
    let other = file("other.xml", "<domain/>");
    let output = recommend(&["--host", other.to_str().unwrap()]);
    assert_eq!(status(&output), 2);
    assert!(text(&output.stderr).contains("other.xml: a domain is a tenant"));
}

#[test]
fn what_is_not_built_in_says_how_to_build_it() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&["--host", "hwloc"], "hwloc", cfg!(feature = "hwloc")),
        (&["--host", "libvirt"], "libvirt", cfg!(feature = "libvirt")),
        (&["--tenant", "live"], "libvirt", cfg!(feature = "libvirt")),
    ];
    for (arguments, feature, built) in cases {
        let output = recommend(arguments);
        let expected =
            format!("error: feature {feature} is not built in: build with --features {feature}\n");
        assert_eq!(text(&output.stderr) == expected, !built, "{}", text(&output.stderr));
        assert!(*built || status(&output) == 2);
    }
}

/// A container: pCPUs, memory and a mask, and nothing else of the machine. A synthetic tree.
#[test]
fn a_container_gets_an_answer_that_says_what_is_not_known() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("container");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("sys/devices/system/cpu/online", "0-7\n");
    write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 8388608 kB\n");
    write("proc/self/status", "Cpus_allowed_list:\t0-3\n");
    let vm = ["--host", root.to_str().unwrap(), "--vcpus", "2", "--memory", "2GiB"];
    let said = recommend(&vm);
    assert_eq!(status(&said), 0);
    let said = text(&said.stdout);
    for words in [
        "SMT siblings of 8 pCPUs are not shown",
        "the package of some pCPUs is not shown",
        "no caches are shown",
        "no nodes are shown",
        "no PCI functions are shown",
        "<vcpupin vcpu='1' cpuset='2'/>",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (status, refusal) = json(&[&vm[..], &["--gpus", "1"]].concat());
    assert_eq!((status, &refusal["format"]), (3, &Value::from("pinwise-refusal/2")));
    let said = text(&recommend(&[&vm[..], &["--gpus", "1"]].concat()).stdout);
    assert!(
        said.contains("Note: no PCI functions are shown: the host has no known GPUs.\n"),
        "{said}"
    );
}

#[test]
fn a_table_of_lscpu_is_a_host_and_its_memory_is_said_to_be_assumed() {
    let table = file(
        "lscpu.txt",
        "user@host:~$ lscpu -e\nCPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE MAXMHZ\n\
         0 0 0 0 0:0:0:0 si 3800,0000\n1 0 0 1 1:1:1:0 si 3800,0000\n\
         2 0 0 2 2:2:2:0 si 3800,0000\nuser@host:~$\n",
    );
    let numa = file(
        "lscpu-numa.txt",
        "available: 1 nodes (0)\nnode 0 cpus: 0 1 2\nnode 0 size: 8000 MB\nnode 0 free: 7000 MB\n",
    );
    let ask = |memory: &str, more: &[&str]| {
        let host = ["--host", table.to_str().unwrap(), "--vcpus", "2", "--memory", memory];
        recommend(&[&host[..], more].concat())
    };
    let output = ask("4GiB", &[]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    let answer = text(&output.stdout);
    assert!(answer.contains("shows no memory: unlimited memory is assumed"), "{answer}");
    let facts = ["--facts", numa.to_str().unwrap()];
    let output = ask("4GiB", &facts);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("assumed"), "{}", text(&output.stdout));
    assert_eq!(status(&ask("16GiB", &facts)), 3);
    for (memory, sentence) in [
        ("65536", "65536 what? write 65536MiB or 64GiB"),
        ("100", "100 what? write 100MiB or 100GiB"),
    ] {
        let output = ask(memory, &[]);
        assert_eq!(status(&output), 2);
        assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
    }
}
