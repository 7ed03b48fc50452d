//! Synthetic listings, made up for these tests.

use crate::facts::{FunctionFacts, read_facts};

fn functions(text: &str) -> Vec<FunctionFacts> {
    read_facts(text).unwrap().remove(0).functions
}

fn shown(text: &str) -> Vec<String> {
    let group = |f: &FunctionFacts| f.iommu_group.map_or("-".to_owned(), |group| group.to_string());
    functions(text).iter().map(|f| format!("{} {}", group(f), f.address)).collect()
}

const BRIDGE: &str = "00:01.0 PCI bridge [0604]: Maker Root Port [8086:0151] (rev 09)";
const GPU: &str = "01:00.0 VGA compatible controller [0300]: NVIDIA Corporation Chip [Card 1] [10de:2684] (rev a1)";
const AUDIO: &str = "01:00.1 Audio device [0403]: NVIDIA Corporation Audio [10de:22ba] (rev a1)";

#[test]
fn loops_over_groups_are_read_in_their_forms() {
    let expected = ["1 0000:00:01.0", "14 0000:01:00.0", "14 0000:01:00.1"];
    for text in [
        format!("IOMMU Group 1:\n\t{BRIDGE}\nIOMMU Group 14:\n\t{GPU}\n\t{AUDIO}\n"),
        format!("IOMMU Group 1 {BRIDGE}\nIOMMU Group 14 {GPU}\nIOMMU Group 14 {AUDIO}\n"),
        format!("Group 1:\n[R] {BRIDGE}\n\nGroup 14:\n    {GPU}\n    [RESET]\t{AUDIO}\n"),
        format!(
            "```\r\nuser@host:~$ ./groups.sh\r\nIOMMU group 1\r\n{BRIDGE}\r\n\
                 IOMMU group 14\r\n{GPU}\r\n\tSubsystem: Maker\r\n{AUDIO}\r\nuser@host:~$\r\n```\r\n"
        ),
        "/sys/kernel/iommu_groups/1/devices/0000:00:01.0\n\
         /sys/kernel/iommu_groups/14/devices/0000:01:00.0\n\
         /sys/kernel/iommu_groups/14/devices/0000:01:00.1\n"
            .to_owned(),
        "[    0.5] pci 0000:00:01.0: Adding to iommu group 1\n\
         [    0.5] pci 0000:01:00.0: Adding to iommu group 14\n\
         [    0.5] iommu: Adding device 0000:01:00.1 to group 14\n"
            .to_owned(),
    ] {
        assert_eq!(shown(&text), expected, "{text}");
    }
}

#[test]
fn a_listing_of_groups_ends_where_another_begins() {
    let text = format!("IOMMU Group 1:\n\t{BRIDGE}\nuser@host:~$ lspci -nn\n{BRIDGE}\n{GPU}\n");
    assert_eq!(shown(&text), ["1 0000:00:01.0", "- 0000:01:00.0"]);
}

#[test]
fn lspci_tells_class_ids_name_driver_node_and_links() {
    let text = format!(
        "{BRIDGE}\n\tKernel driver in use: pcieport\n\n0000:{GPU} (prog-if 00 [VGA controller])\n\
         \tSubsystem: Maker Device [1458:40bf]\n\tControl: I/O+ Mem+\n\tNUMA node: 1\n\
         \tIOMMU group: 14\n\t\tLnkCap:\tPort #0, Speed 16GT/s, Width x16, ASPM L1\n\
         \t\tLnkSta:\tSpeed 2.5GT/s (downgraded), Width x8 (downgraded)\n\
         \tKernel driver in use: vfio-pci\n\tKernel modules: nouveau\n"
    );
    let found = functions(&text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].driver.as_deref(), Some("pcieport"));
    let gpu = &found[1];
    assert_eq!(gpu.name.as_deref(), Some("NVIDIA Corporation Chip [Card 1]"));
    assert_eq!((gpu.class.unwrap().0, gpu.ids.unwrap().1.0), (0x03_0000, 0x2684));
    assert_eq!((gpu.node.unwrap().0, gpu.iommu_group), (1, Some(14)));
    assert_eq!(gpu.link_max.unwrap().to_string(), "16 GT/s x16");
    assert_eq!(gpu.link_now.unwrap().to_string(), "2.5 GT/s x8");
    assert_eq!(gpu.driver.as_deref(), Some("vfio-pci"));
    let facts = read_facts(&text).unwrap();
    assert_eq!((&*facts[0].source, facts[0].gpus.len()), ("lspci", 1));
}

#[test]
fn what_cannot_be_is_an_error_with_its_line() {
    for (text, sentence) in [
        (
            format!("IOMMU Group 1:\n{GPU}\nIOMMU Group 2:\n{GPU}\n"),
            "line 4: the IOMMU group of 0000:01:00.0 is 2, but 1 in an earlier line",
        ),
        (
            format!("IOMMU Group 99999999999:\n{GPU}\n"),
            "line 1: the IOMMU group \"99999999999\" is not a number",
        ),
        (
            format!("{GPU}\n\tNUMA node: x\n"),
            "line 2: the node of 0000:01:00.0 \"x\" is not a node's number",
        ),
    ] {
        assert_eq!(read_facts(&text).unwrap_err().to_string(), sentence);
    }
}

#[test]
fn without_ids_it_is_told_which_command_shows_them() {
    let error = read_facts("01:00.0 VGA compatible controller: Maker Card (rev a1)\n").unwrap_err();
    assert!(error.to_string().contains("lspci without -nn"), "{error}");
}
