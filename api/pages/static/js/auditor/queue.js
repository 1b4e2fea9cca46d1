// The disputes that wait for a decision.

const PAGE = 200;

/** All open ones, the oldest first: they have waited longest. */
export async function openDisputes(api) {
  const found = [];
  let before;
  do {
    const page = await api.get("/v1/disputes", { state: "open", before, limit: PAGE });
    found.push(...page.disputes);
    before = page.next_before;
  } while (before !== null);
  return found.reverse();
}
