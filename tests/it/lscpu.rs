//! Hosts from a table of `lscpu` alone, texts as people paste them, and texts that describe no
//! host. All texts are made up in the form of the programs' output.

use pinwise::explain::host_line;
use pinwise::host::{NodeSpec, Part};
use pinwise::{Bytes, HostSpec};
use pinwise_discover::{Assembled, Assembly, AssemblyError};
use pinwise_testkit::texts::{CAPABILITIES, LSTOPO_1, LSTOPO_2, LSTOPO_3, MEMINFO};

/// Two packages with two cores each. The first core has two threads that are online.
const TABLE: &str = "\
CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE    MAXMHZ   MINMHZ
  0    0      0    0 0:0:0:0          yes 3800.0000 800.0000
  1    0      0    1 1:1:1:0          yes 3800.0000 800.0000
  2    1      1    2 2:2:2:1          yes 3800.0000 800.0000
  3    1      1    3 3:3:3:1          yes 3800.0000 800.0000
  4    0      0    0 0:0:0:0          yes 3800.0000 800.0000
  5    -      -    - -                 no         -        -
";

const LIST: &str = "\
# The following is the parsable format, which can be fed to other
# programs. Each different item in every column has an unique ID
# starting usually from zero.
# CPU,Core,Socket,Node,,L1d,L1i,L2,L3
0,0,0,0,,0,0,0,0
1,1,0,0,,1,1,1,0
2,2,1,1,,2,2,2,1
3,3,1,1,,3,3,3,1
4,0,0,0,,0,0,0,0
";

const NUMA: &str = "\
available: 2 nodes (0-1)
node 0 cpus: 0 1 4
node 0 size: 31990 MB
node 0 free: 29800 MB
node 1 cpus: 2 3
node 1 size: 32230 MB
node 1 free: 30100 MB
node distances:
node   0   1
  0:  10  21
  1:  21  10
";

const ASSUMED: &str = "lscpu -e (a) shows no memory: unlimited memory is assumed on every node; \
                       add the output of numactl --hardware with --facts";

fn assembled(texts: &[&str]) -> Assembled {
    let mut assembly = Assembly::new();
    for (text, name) in texts.iter().zip(["a", "b"]) {
        assembly.add_text(name, text).unwrap();
    }
    assembly.finish().unwrap()
}

fn sentences(assembled: &Assembled) -> Vec<String> {
    assembled.notes.iter().map(ToString::to_string).collect()
}

fn cores(host: &HostSpec) -> Vec<(u32, String)> {
    host.cores.iter().map(|core| (core.package.0, core.pcpus.to_string())).collect()
}

fn nodes(host: &HostSpec) -> Vec<(u32, String, Bytes)> {
    host.nodes.iter().map(|node| (node.id.0, node.cpus.to_string(), node.memory)).collect()
}

#[test]
fn a_table_alone_is_a_host_whose_memory_is_assumed() {
    let assembled = assembled(&[TABLE]);
    assert_eq!(sentences(&assembled), [ASSUMED]);
    assert_eq!(assembled.conflicts, []);
    let host = assembled.host;
    let expected = [(0, "0,4"), (0, "1"), (1, "2"), (1, "3")];
    assert_eq!(cores(&host), expected.map(|(package, pcpus)| (package, pcpus.to_owned())));
    let much = Bytes::from_gib(1 << 20);
    assert_eq!(nodes(&host), [(0, "0-1,4".to_owned(), much), (1, "2-3".to_owned(), much)]);
    let domains: Vec<_> = host.l3_domains.iter().map(|l3| (l3.cpus.to_string(), l3.size)).collect();
    assert_eq!(domains, [("0-1,4".to_owned(), None), ("2-3".to_owned(), None)]);
    assert_eq!(host.offline.to_string(), "5");
    assert!(host.devices.is_empty() && host.cpu_model.is_empty());
    assert!(host.nodes.iter().flat_map(|node| &node.pools).all(|pool| !pool.size.is_huge()));
    assert_eq!(host.source_of(Part::Cpus), "lscpu -e (a)");
    let line = host_line(&host.build().unwrap());
    assert!(line.contains("lscpu -e (a)") && line.contains("an assumption"), "{line}");
}

#[test]
fn a_list_is_the_same_host_without_what_it_does_not_print() {
    let (table, list) = (assembled(&[TABLE]).host, assembled(&[LIST]).host);
    assert_eq!((cores(&table), nodes(&table)), (cores(&list), nodes(&list)));
    assert_eq!(table.l3_domains, list.l3_domains);
    assert!(list.offline.is_empty());
}

#[test]
fn memory_of_numactl_counts_in_any_order_of_the_texts() {
    for texts in [[TABLE, NUMA], [NUMA, TABLE]] {
        let assembled = assembled(&texts);
        assert_eq!((sentences(&assembled), assembled.conflicts), (Vec::new(), Vec::new()));
        let host = assembled.host;
        let free = |node: &NodeSpec| node.pools[0].size.times(node.pools[0].free);
        let mib = host.nodes.iter().map(|node| (node.memory, free(node)));
        let expected = [(31990, 29800), (32230, 30100)];
        let expected = expected.map(|(size, free)| (Bytes::from_mib(size), Bytes::from_mib(free)));
        assert_eq!(mib.collect::<Vec<_>>(), expected);
        assert_eq!(host.nodes[0].distances.len(), 2);
        host.build().unwrap();
    }
}

#[test]
fn memory_of_the_machine_is_that_of_its_only_node() {
    let one = "CPU NODE SOCKET CORE\n0 0 0 0\n1 0 0 1\n";
    let one = assembled(&[one, MEMINFO]);
    assert_eq!(sentences(&one), Vec::<String>::new());
    assert_eq!(one.host.nodes[0].memory, Bytes::from_kib(65_764_120));
    let pool = &one.host.nodes[0].pools[0];
    assert_eq!(pool.free, (41_234_567 + 8_123_456 + 10_123_456) / 4);
    let two = sentences(&assembled(&[TABLE, MEMINFO]));
    let ignored = "/proc/meminfo (b) does not tell the memory of each node and is ignored";
    assert_eq!(two, [ignored, ASSUMED]);
}

#[test]
fn nodes_are_the_tables_then_numactls_then_one() {
    let no_nodes = "CPU SOCKET CORE\n0 0 0\n1 0 1\n2 1 2\n3 1 3\n4 0 0\n";
    let of = |texts: &[&str]| -> Vec<(u32, String)> {
        let nodes = nodes(&assembled(texts).host);
        nodes.into_iter().map(|(id, cpus, _)| (id, cpus)).collect()
    };
    assert_eq!(of(&[no_nodes]), [(0, "0-4".to_owned())]);
    assert_eq!(of(&[no_nodes, NUMA]), [(0, "0-1,4".to_owned()), (1, "2-3".to_owned())]);
    // A node that has only memory.
    let more = NUMA.replace("node 1 cpus: 2 3", "node 1 cpus:");
    let one = "CPU NODE SOCKET CORE\n0 0 0 0\n1 0 0 1\n4 0 0 0\n";
    assert_eq!(of(&[one, &more]), [(0, "0-1,4".to_owned()), (1, String::new())]);
    // A pCPU without a node joins its sibling's, with a note.
    let assembled = assembled(&["CPU NODE SOCKET CORE\n0 1 0 0\n1 0 1 1\n2 - 0 0\n"]);
    assert_eq!(assembled.host.nodes[1].cpus.to_string(), "0,2");
    assert_eq!(assembled.notes.len(), 2, "{:?}", assembled.notes);
}

#[test]
fn a_table_without_cores_is_no_host() {
    for text in ["CPU NODE\n0 0\n1 0\n", "CPU CORE ONLINE\n0 0 yes\n1 - yes\n"] {
        let mut assembly = Assembly::new();
        assembly.add_text("a", text).unwrap();
        let error = assembly.finish().unwrap_err();
        assert!(matches!(error, AssemblyError::NoCores { .. }), "{error}");
    }
}

/// Ways to paste a text.
fn pasted(command: &str, text: &str) -> Vec<String> {
    let windows = text.replace('\n', "\r\n");
    vec![
        format!("user@host:~$ {command}\n{text}user@host:~$ \n"),
        format!("[root@host ~]# {command}\n{text}[root@host ~]# exit\n"),
        format!("```\n{text}```\n"),
        format!("~~~ text\n$ {command}\n{text}\n~~~\n"),
        format!("\u{feff}{windows}"),
        format!("\u{1b}[01;32muser@host\u{1b}[0m:~> {command}\n\u{1b}[4m{text}\u{1b}[0m\n"),
    ]
}

#[test]
fn pasted_texts_are_read_like_clean_ones() {
    for (command, text) in [("lscpu -e", TABLE), ("lscpu -p", LIST)] {
        let clean = assembled(&[text, NUMA]);
        for pasted in pasted(command, text) {
            assert_eq!(assembled(&[&pasted, NUMA]), clean, "{pasted}");
        }
    }
    let clean = assembled(&[TABLE, NUMA]);
    for pasted in pasted("numactl -H", NUMA) {
        assert_eq!(assembled(&[TABLE, &pasted]), clean, "{pasted}");
    }
    for xml in [CAPABILITIES, LSTOPO_1, LSTOPO_2, LSTOPO_3] {
        let clean = assembled(&[xml]);
        for pasted in pasted("cat host.xml", xml) {
            assert_eq!(assembled(&[&pasted]), clean, "{pasted}");
        }
    }
}

#[test]
fn what_describes_no_host_names_what_does() {
    let hosts = "the output of lscpu -e, virsh capabilities or lstopo --of xml";
    let cell = "<cell id='0'><cpus/></cell>";
    for (text, what) in [
        ("Architecture:    x86_64\nCPU(s):          8\n", "lscpu without -e"),
        ("CPU model:   x86_64\nCPU(s):      8\nNUMA cell(s): 1\n", "virsh nodeinfo"),
        ("HOST 3 INFORMATION      \nID   : 3\n", "onehost show without -x"),
        ("$ lstopo\nMachine (62GB total)\n  Package L#0\n", "lstopo without --of xml"),
        (cell, "a part of virsh capabilities"),
        ("<cpus num='1'><cpu id='0'/></cpus>", "a part of virsh capabilities"),
    ] {
        let error = Assembly::new().add_text("a", text).unwrap_err().to_string();
        let expected = format!(
            "a: the text looks like {what}, which cannot be read: use the whole {}",
            &hosts[4..]
        );
        assert_eq!(error, expected);
    }
    let error = Assembly::new().add_text("a", "hello\n").unwrap_err().to_string();
    assert!(error.ends_with(&format!("; a host is read from {hosts}")), "{error}");
}
