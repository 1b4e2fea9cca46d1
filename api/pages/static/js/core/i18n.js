// Words, dates and numbers in the page's language. English text is the message's identifier.

const root = document.documentElement;

export let language = root.lang;

const PATIENCE = 5000; // milliseconds until it is asked again

async function load(path, of, more = "") {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(`${path}?lang=${of}${more}`, { signal: AbortSignal.timeout(PATIENCE) });
      if (response.ok) return await response.json();
    } catch {
      // The service is away; a page without words is no page, so it waits.
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(4000, 300 * attempt)));
  }
}

const voices = new Map();

/** What it takes to speak a language, loaded once each. */
function voiceOf(of) {
  if (!voices.has(of)) {
    const words = of === "en" ? {} : load(`/assets/messages/${root.dataset.page}.json`, of);
    voices.set(of, Promise.all([words, load("/assets/names.json", of, `&page=${root.dataset.page}`)])
      .then(([messages, names]) => ({ messages, names, later: undefined })));
  }
  return voices.get(of);
}

let { messages, names } = await voiceOf(language);

/** Types, service items, institutions and sites as they are called: see api/pages/routes.py. */
export let catalogue = names;

/**
 * Words of scripts in a `later` folder, and of fields where the first view has none: wait for it
 * before the first of these is used.
 */
export async function loadLater(of = language) {
  const voice = await voiceOf(of);
  voice.later ??= moreOf(voice, of);
  await voice.later;
}

async function moreOf(voice, of) {
  const { page } = root.dataset;
  const whole = Object.values(voice.names.types).every(({ fields }) => fields);
  const [words, fuller] = await Promise.all([
    of === "en" ? {} : load(`/assets/messages/${page}.json`, of, "&later=true"),
    whole ? {} : load("/assets/names.json", of, `&page=${page}&later=true`),
  ]);
  Object.assign(voice.messages, words);
  Object.assign(voice.names, fuller);
}

/** Go on in another language without loading the page again. What is shown already stays as it is. */
export async function speak(wanted) {
  ({ messages, names } = await voiceOf(wanted));
  language = root.lang = wanted;
  catalogue = names;
  formats = formatsOf(wanted);
}

/** What the service sends a message under: FNV-1a of the English text, as in api/pages/i18n.py. */
function keyOf(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16);
}

/** A message with `{name}` places filled in. */
export function t(text, values = {}) {
  return (messages[keyOf(text)] || text).replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place));
}

/** A message about a number, which also fills `{n}`. */
export const tn = (one, many, n, values = {}) =>
  t(n === 1 || messages[keyOf(one)] ? one : many, { n: formatNumber(n), ...values });

const CITY = "Asia/Shanghai"; // every time of day is the city's, wherever the browser is

function formatsOf(of) {
  const time = (options) => new Intl.DateTimeFormat(of, { ...options, timeZone: CITY });
  return {
    number: new Intl.NumberFormat(of),
    list: new Intl.ListFormat(of, { type: "conjunction" }),
    relative: new Intl.RelativeTimeFormat(of, { numeric: "auto" }),
    time: {
      date: time({ dateStyle: "long" }),
      short: time({ dateStyle: "medium" }),
      time: time({ timeStyle: "medium", hourCycle: "h23" }),
      both: time({ dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }),
      minute: time({ dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }),
    },
  };
}

let formats = formatsOf(language);

export const formatNumber = (value) => formats.number.format(value);

/** `style` is date, short (date), time, both or minute; `at` is Unix milliseconds. */
export const formatTime = (at, style = "both") => formats.time[style].format(at);

/** "3 minutes ago", "in 2 days". */
export function formatAgo(at, now) {
  const seconds = Math.round((at - now) / 1000);
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return formats.relative.format(Math.trunc(seconds / size), unit);
  }
  return formats.relative.format(seconds, "second");
}

/** Several names in a row: "name, sex and address". */
export const formatList = (items) => formats.list.format(items);

/** The type that a certificate's identifier holds the code of (GB/T 36904), if any. */
export const typeIn = (identifier) =>
  Object.keys(catalogue.types).find((type) => catalogue.types[type].type_code === identifier?.split(".")[5]);
export const typeName = (code) => catalogue.types[code]?.name ?? code;
export const fieldName = (type, field) => catalogue.types[type]?.fields[field] ?? field;
export const itemName = (code) => catalogue.items[code]?.name ?? code;
export const institutionName = (code) => catalogue.institutions[code]?.name ?? code;
export const siteName = (code) => catalogue.sites[code]?.name ?? code;

/** A field's value for people: yes and no, dates, periods; everything else as it stands. */
export function formatValue(value) {
  if (value === true) return t("Yes");
  if (value === false) return t("No");
  if (value === null || value === undefined || value === "") return t("not stated");
  if (Array.isArray(value)) return formatList(value.map(formatValue));
  if (typeof value === "object") return Object.values(value).map(formatValue).join(" · ");
  if (typeof value === "number") return formatNumber(value);
  const day = /^\d{4}-\d{2}-\d{2}$/;
  const shown = (text) => (day.test(text) ? formatTime(Date.parse(`${text}T00:00:00+08:00`), "date") : text);
  const [from, until, rest] = value.split("/");
  if (rest === undefined && until !== undefined && day.test(from)) {
    const end = day.test(until) ? shown(until) : t("no end");
    return t("{from} to {until}", { from: shown(from), until: end });
  }
  return shown(value);
}
