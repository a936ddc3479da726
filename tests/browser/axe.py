"""axe, the accessibility checker of the npm package axe-core, over a page that is open."""

from tests.site import ROOT

SCRIPT = ROOT / "node_modules" / "axe-core" / "axe.min.js"

# All rules but those that axe has taken back and those of WCAG level AAA: also what axe leaves off unless asked for it,
# as WCAG 2.2's target size and the rules it calls experimental.
RUN = """async (context) => {
  const rules = axe.getRules().filter(({ tags }) => !tags.some((tag) => /^(deprecated|wcag2aaa)$/.test(tag)));
  const runOnly = { type: "rule", values: rules.map(({ ruleId }) => ruleId) };
  const { violations } = await axe.run(context, { runOnly, resultTypes: ["violations"] });
  return [
    runOnly.values,
    violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, failureSummary }) => [id, help, target.flat().join(" "), failureSummary])),
  ];
}"""


def violations(page, *, not_ours=()):
    """What axe finds wrong on the page, a text each; `not_ours` are selectors of what is left out.

    The script comes in by the browser's debugging protocol: the pages' content policies let no other in.
    """
    if not page.evaluate("() => 'axe' in globalThis"):
        page.evaluate(f"() => {{ {SCRIPT.read_text()} }}")
    rules, found = page.evaluate(RUN, {"exclude": [[each] for each in not_ours]})
    assert {"color-contrast", "target-size", "region", "td-has-header"} <= set(rules)
    return [f"{rule}: {why}\n  {place}\n  " + summary.replace("\n", "\n  ") for rule, why, place, summary in found]
