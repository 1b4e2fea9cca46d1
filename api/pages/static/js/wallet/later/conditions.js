// Step 3: a code to show or a direct grant, to which department, where, how long, how often.

import { serverNow } from "../../core/api.js";
import { field, h, select, show } from "../../core/dom.js";
import { catalogue, institutionName, siteName, t } from "../../core/i18n.js";
import { oneLine } from "../../core/texts.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MOST_USES = 100;

/** Midnight at the end of today in the city, UTC+8. */
const endOfDay = (now) => (Math.floor((now + 8 * HOUR) / DAY) + 1) * DAY - 8 * HOUR;

export const PERIODS = {
  hour: [() => t("One hour"), (now) => now + HOUR],
  today: [() => t("Until the end of today"), endOfDay],
  week: [() => t("7 days"), (now) => now + 7 * DAY],
  month: [() => t("30 days"), (now) => now + 30 * DAY],
};

const sitesOf = (department) =>
  Object.keys(catalogue.sites).filter((site) => catalogue.sites[site].department === department);

export function conditionsStep(draft, next) {
  const departments = [...new Set(Object.values(catalogue.sites).map(({ department }) => department))]
    .sort((a, b) => institutionName(a).localeCompare(institutionName(b), document.documentElement.lang));
  draft.mode ??= "scan";
  draft.period ??= "hour";
  draft.uses ??= 1;
  if (departments.length === 1) [draft.department] = departments;

  const problem = h("div", { role: "alert" });
  const sites = h("div", {});
  const direct = h("div", {});

  const drawSites = () => {
    if (!draft.department) return show(sites);
    const offered = sitesOf(draft.department);
    draft.sites ??= offered.length === 1 ? offered : [];
    show(sites, h("fieldset", { class: "choices" },
      h("legend", {}, t("Where")),
      h("p", { class: "hint" }, t("Only at the places that you tick.")),
      offered.map((site) => h("label", { class: "choice" },
        h("input", {
          type: "checkbox", name: "site", value: site, checked: draft.sites.includes(site),
          onchange: () => {
            draft.sites = [...sites.querySelectorAll("input:checked")].map(({ value }) => value);
            show(problem);
          },
        }), siteName(site)))));
  };
  const named = (name, label, hint) => field(label, h("input", {
    type: "text", name, maxlength: "64", autocomplete: "off", value: draft[name] ?? "",
    oninput: (event) => {
      draft[name] = oneLine(event.target.value) || undefined;
    },
  }), { hint });
  const drawDirect = () => {
    if (draft.mode === "scan") return show(direct);
    show(direct,
      named("terminal", t("Only this counter or kiosk (you may leave this out)"),
        t("As it is written there, such as counter-east-1.")),
      named("staff", t("Only this member of staff (you may leave this out)"), t("As on the name plate.")));
  };
  drawSites();
  drawDirect();

  const ways = [
    ["scan", t("I show a code at the counter"), t("Nobody can look before you show it.")],
    ["direct", t("I grant it to a department directly"), t("They can look without you being there.")],
  ];
  const uses = h("input", {
    type: "number", name: "uses", min: "1", max: String(MOST_USES), step: "1", inputmode: "numeric", required: true,
    value: draft.uses,
  });
  const change = (by) => () => {
    uses.value = Math.min(MOST_USES, Math.max(1, (Math.trunc(Number(uses.value)) || 1) + by));
  };
  return h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      draft.uses = Number(uses.value);
      if (draft.department && draft.sites?.length) return next();
      show(problem, h("p", { class: "field-error" },
        draft.department ? t("Please tick at least one place.") : t("Please choose a department.")));
      event.target.querySelector(draft.department ? "[name=site]" : "select").focus();
    },
  },
  h("fieldset", { class: "choices" },
    h("legend", {}, t("How")),
    ways.map(([mode, text, about]) => h("label", { class: "choice" },
      h("input", {
        type: "radio", name: "mode", value: mode, checked: draft.mode === mode,
        onchange: () => {
          draft.mode = mode;
          drawDirect();
        },
      }), h("span", {}, text, h("span", { class: "option-about" }, about))))),
  departments.length === 1
    ? h("p", {}, h("span", { class: "card-label" }, t("Department")), institutionName(departments[0]))
    : field(t("Department"), select(
      [["", t("Please choose")], ...departments.map((code) => [code, institutionName(code)])], draft.department ?? "", {
        name: "department",
        onchange: (event) => {
          Object.assign(draft, { department: event.target.value || undefined, sites: undefined });
          show(problem);
          drawSites();
        },
      })),
  sites, direct,
  h("fieldset", { class: "choices" },
    h("legend", {}, t("How long")),
    h("div", { class: "periods" }, Object.entries(PERIODS).map(([name, [words]]) => h("label", { class: "choice" },
      h("input", {
        type: "radio", name: "period", value: name, checked: draft.period === name,
        onchange: () => {
          draft.period = name;
        },
      }), words())))),
  h("div", { class: "uses" },
    field(t("How many looks"), uses, { hint: t("One is enough for most business.") }),
    h("button", { type: "button", "aria-label": t("One less"), onclick: change(-1) }, "−"),
    h("button", { type: "button", "aria-label": t("One more"), onclick: change(1) }, "+")),
  problem,
  h("button", { type: "submit", class: "primary wide-action" }, t("Next")));
}

/** Whole seconds: from a moment ago, because clocks differ, until the chosen end. */
export function windowOf(draft, now = serverNow()) {
  const [, end] = PERIODS[draft.period];
  return { not_before: Math.floor(now / 1000) - 1, not_after: Math.floor(end(now) / 1000) };
}
