// What a page shows without a connection: the last answers, sealed (AES-GCM) under a key that the
// browser does not give out. It lies beside the device's key, and goes with it.

import { Unreachable } from "./api.js";
import { utf8 } from "./bytes.js";
import { inStore } from "./keys.js";
import { clock, serverNow } from "./service.js";

const SEALING = { name: "AES-GCM", length: 256 };

export class Kept {
  #slot;
  #kid;
  #key;
  /** name → {at, value}; and `ahead`, by how much the device's clock is off */
  #answers = {};
  #changed = false;
  #saving;

  /** What is kept under this device key; nothing, if that was under another one. */
  static async open({ slot, kid }) {
    const kept = new Kept();
    kept.#slot = slot;
    kept.#kid = kid;
    const found = await inStore("readonly", (store) => store.get(`${slot}-kept`));
    if (found?.kid === kid) {
      kept.#key = found.key;
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: found.iv }, found.key, found.sealed).catch(() => null);
      if (plain) ({ answers: kept.#answers, ahead: clock.ahead } = JSON.parse(new TextDecoder().decode(plain)));
    }
    kept.#key ??= await crypto.subtle.generateKey(SEALING, false, ["encrypt", "decrypt"]);
    return kept;
  }

  /** `{at, value}`, if it is kept. */
  get(name) {
    return this.#answers[name];
  }

  put(name, value) {
    this.#answers[name] = { at: serverNow(), value };
    this.#save();
  }

  /** Forget those whose name is not wanted any more. */
  retain(wanted) {
    for (const name of Object.keys(this.#answers)) if (!wanted(name)) delete this.#answers[name];
    this.#save();
  }

  /**
   * The answer of the service, or the one kept if the service does not answer; `onOld(at)` is told
   * of what time that is.
   */
  async read(api, path, params, { signal, onOld = () => {} } = {}) {
    const name = `${path} ${JSON.stringify(params)}`;
    const old = this.get(name);
    try {
      const value = await api.get(path, params, old ? { signal, tries: 1, whileAnswering: true } : { signal });
      this.put(name, value);
      return value;
    } catch (error) {
      if (!old || !(error instanceof Unreachable)) throw error;
      onOld(old.at);
      return old.value;
    }
  }

  /** Resolves once everything that was put is stored. */
  async saved() {
    await this.#saving;
  }

  #save() {
    this.#changed = true;
    this.#saving ??= this.#store()
      .catch((error) => console.warn(`nothing is kept for later: ${error.name}`))
      .finally(() => (this.#saving = undefined));
  }

  async #store() {
    while (this.#changed) {
      this.#changed = false;
      const plain = utf8(JSON.stringify({ answers: this.#answers, ahead: clock.ahead }));
      const iv = crypto.getRandomValues(new Uint8Array(12));
      const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, this.#key, plain);
      await inStore("readwrite", (store) => {
        const device = store.get(this.#slot);
        // Signed out meanwhile, in whichever tab: nothing is kept any more.
        device.onsuccess = () => device.result?.kid === this.#kid
          && store.put({ slot: `${this.#slot}-kept`, kid: this.#kid, key: this.#key, iv, sealed });
        return device;
      });
    }
  }
}
