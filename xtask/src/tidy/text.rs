//! Any text file: blanks, line ends, leftovers, paths of one machine, and how long a document may be.

use super::Finding;

/// Leftovers, in pieces so that this file does not hold what it forbids.
const LEFTOVERS: [[&str; 2]; 2] = [["TO", "DO"], ["FIX", "ME"]];

/// Folders of somebody's machine, likewise in pieces.
const MACHINE: [[&str; 2]; 2] = [["/wo", "rk/"], ["/ro", "ot/"]];

/// Documents that are read in one go, with the lines they may have.
const DOCUMENTS: [(&str, usize); 2] = [("ARCHITECTURE.md", 300), ("docs/adr/", 70)];

pub(super) fn check(file: &str, held: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in held.split('\n').enumerate() {
        findings.extend(
            line_rules(file, line)
                .into_iter()
                .map(|message| Finding::new(file, index + 1, message)),
        );
    }
    findings.extend(ending(file, held));
    findings.extend(length(file, held));
    findings
}

fn line_rules(file: &str, line: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if line.ends_with('\r') {
        messages.push("ends in a carriage return".to_owned());
    } else if line.trim_end() != line {
        messages.push("has blanks at its end".to_owned());
    }
    // Go's own formatter indents with them.
    if line.contains('\t') && !file.ends_with(".go") {
        messages.push("has a tab".to_owned());
    }
    for word in LEFTOVERS.map(|pieces| pieces.concat()) {
        if has_word(line, &word) {
            messages.push(format!("says {word}: do it, or write it down elsewhere"));
        }
    }
    for path in MACHINE.map(|pieces| pieces.concat()) {
        if line.contains(&path) {
            messages.push(format!("names `{path}`, a path of one machine"));
        }
    }
    messages
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .any(|part| part == word)
}

fn ending(file: &str, held: &str) -> Option<Finding> {
    if held.is_empty() || (held.ends_with('\n') && !held.ends_with("\n\n")) {
        return None;
    }
    let message = "ends with one newline, no more, no less";
    Some(Finding::new(file, held.lines().count(), message))
}

fn length(file: &str, held: &str) -> Option<Finding> {
    let (_, most) = DOCUMENTS.iter().find(|(name, _)| file.starts_with(name))?;
    let lines = held.lines().count();
    if lines <= *most {
        return None;
    }
    let message = format!("has {lines} lines, {most} at most");
    Some(Finding::new(file, most + 1, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_sample() {
        let leftovers = LEFTOVERS.map(|pieces| format!("// {}: later\n", pieces.concat()));
        let machine = MACHINE.map(|pieces| format!("see {}main\n", pieces.concat()));
        let plain = [
            "blank \n",
            "tab\there\n",
            "return\r\n",
            "no newline",
            "two\n\n",
        ];
        let samples = plain.iter().map(ToString::to_string);
        for sample in samples.chain(leftovers).chain(machine) {
            let found = check("a.md", &sample);
            assert_eq!(found.len(), 1, "{sample:?}: {found:?}");
        }
    }

    #[test]
    fn ordinary_text_passes() {
        let text = "# Title\n\nA sentence about todos and a methodology.\n";
        assert_eq!(check("a.md", text), []);
        assert_eq!(check("a.md", ""), []);
        assert_eq!(check("a.go", "\treturn\n"), []);
    }

    #[test]
    fn long_documents_are_found() {
        let page = "line\n".repeat(71);
        assert_eq!(check("docs/adr/0001-a.md", &page).len(), 1);
        assert_eq!(check("docs/operations.md", &page), []);
        assert_eq!(check("ARCHITECTURE.md", &"line\n".repeat(301)).len(), 1);
    }
}
