//! The flags that ask for devices, on the synthetic fixture of an HGX board: eight GPUs, each with
//! a NIC and an NVMe disk below its switch.

use serde_json::Value;

use crate::program::{json, recommend, status, text};

const VM: [&str; 6] =
    ["--host", "fixtures/hosts/hgx-h200.json", "--vcpus", "8", "--memory", "32GiB"];

fn answer(flags: &[&str]) -> (i32, Value) {
    json(&[&VM, flags].concat())
}

/// The addresses of the best placement's `gpus` or `devices`, without domain and function.
fn given<'a>(answer: &'a Value, list: &str) -> Vec<&'a str> {
    let of = answer["ranked"][0]["placement"][list].as_array().unwrap();
    of.iter().map(|device| &device["address"].as_str().unwrap()[5..7]).collect()
}

fn sentences(flags: &[&str]) -> (i32, String) {
    let output = recommend(&[&VM, flags].concat());
    (status(&output), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_nic_or_a_disk_beside_each_gpu_is_that_of_its_switch() {
    for (flags, numbers) in [
        (&["--nic-per-gpu"][..], &["c"][..]),
        (&["--nvme-per-gpu"], &["d"]),
        (&["--nic-per-gpu", "--nvme-per-gpu"], &["c", "d"]),
        (&["--nic-per-gpu", "--nic-model", "15b3:1021", "--device-near", "require"], &["c"]),
    ] {
        let (status, answer) = answer(&[&["--gpus", "2"], flags].concat());
        assert_eq!(status, 0, "{flags:?}: {answer}");
        let gpus = given(&answer, "gpus");
        let mut expected: Vec<String> =
            gpus.iter().flat_map(|gpu| numbers.iter().map(move |n| gpu.replace('b', n))).collect();
        expected.sort();
        let mut devices = given(&answer, "devices");
        devices.sort_unstable();
        assert!(gpus.len() == 2 && gpus.iter().all(|gpu| gpu.ends_with('b')), "{gpus:?}");
        assert_eq!(devices, expected, "{flags:?}");
    }
}

#[test]
fn devices_by_address_and_by_number_are_given() {
    let (_, both) = answer(&["--gpu", "1b:00.0", "--device", "2c:00.0", "--nvme", "1"]);
    assert_eq!((given(&both, "gpus"), given(&both, "devices")), (vec!["1b"], vec!["1d", "2c"]));
    let (_, three) = answer(&["--gpus", "0", "--nic", "3"]);
    assert_eq!(given(&three, "devices").len(), 3);
    let (_, none) = answer(&["--gpus", "1", "--nic", "0"]);
    assert_eq!(given(&none, "devices"), [""; 0]);
}

#[test]
fn what_cannot_be_had_is_refused_with_what_can() {
    for (flags, parts) in [
        (
            &["--gpus", "1", "--nic", "9"][..],
            &["9 free NICs needed, 8 of 8 on the host can be given", "- at most 8 NICs\n"][..],
        ),
        (
            &["--gpus", "1", "--nic", "1", "--nic-model", "none such"],
            &["1 free NIC matching \"none such\" needed, 0 of 0", "- NICs of any model\n"],
        ),
        (
            &["--gpu", "1b:00.0", "--nic", "2", "--device-near", "require"],
            &["- at most 1 NIC\n", "- preferring instead of requiring"],
        ),
        (
            &["--gpus", "1", "--gpu-kind", "vf"],
            &["1 free virtual function of GPUs needed, 0 of 0", "- a whole GPU (--gpu-kind pf)\n"],
        ),
        (&["--gpus", "3", "--fabric-partition", "require"], &["- at most 2 GPUs (--gpus 2)\n"]),
    ] {
        let (status, said) = sentences(flags);
        assert_eq!(status, 3, "{flags:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{flags:?}: {part:?} is not in\n{said}");
        }
    }
}

#[test]
fn flags_that_contradict_each_other_are_status_2() {
    for (flags, part) in [
        (&["--nic", "1", "--nic-per-gpu"][..], "--nic-per-gpu"),
        (&["--gpus", "1", "--gpu", "1b:00.0"], "--gpu"),
        (&["--nic-per-gpu", "--device-within", "floor"], "is not switch, root-complex or node"),
        (&["--gpu", "1b:00.0", "--device", "1b:00.0"], "0000:1b:00.0 is named twice"),
        (&["--device", "1b:20.0"], "1b:20.0"),
    ] {
        let (status, said) = sentences(flags);
        assert_eq!(status, 2, "{flags:?}: {said}");
        assert!(said.contains(part), "{flags:?}: {said}");
    }
}
