//! What holds for every explanation: for the tests here and for `fuzz/`.

use hybridge::explain::{Explanation, Mark, Rule};

/// What holds for every explanation, whatever it explains.
pub fn check_form(explanation: &Explanation) {
    let broken: Vec<Rule> =
        explanation.rules.iter().filter(|(_, mark)| *mark == Mark::Broken).map(|(rule, _)| *rule).collect();
    assert!(explanation.rules.is_sorted_by_key(|(rule, _)| *rule), "rules stand in their order");
    match &explanation.finding {
        None => assert_eq!(broken, [], "no rule is broken without a finding"),
        Some(finding) if finding.upstream => assert_eq!(broken.len(), 1),
        Some(finding) => assert_eq!(broken, [finding.fault.rule()], "one rule is broken, that of the finding"),
    }
    if let [rule] = broken[..] {
        let after = explanation.rules.iter().filter(|(other, _)| *other > rule);
        after.for_each(|(_, mark)| assert_eq!(*mark, Mark::NotSeen(""), "nothing is judged after the first fault"));
    }
}
