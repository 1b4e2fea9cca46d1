// How a code gets into a page: by camera, or by a scanner that types (wedge.js); and the tone to it.

import { Problem, Unreachable, pause } from "./api.js";
import { screenCode } from "./codes.js";

export { KeyboardWedge } from "./wedge.js";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Whether two screen codes are of one grant or request: the handle is in the first 28 symbols. */
export function sameGrant(a, b) {
  const [one, other] = [screenCode(a), screenCode(b)];
  return one !== null && one.slice(0, 31) === other?.slice(0, 31);
}

/** What a screen code is of: `GRANT`, `REQUEST`, or something newer. Its second byte says so. */
export function kindOf(code) {
  const [first, second, third] = [...screenCode(code).slice(4, 7)].map((char) => BASE32.indexOf(char));
  return ((first & 3) << 6) | (second << 1) | (third >> 4);
}

const FRAME = 960; // pixels on a frame's longer side: enough for version 3 across a counter
const EVERY = 250; // milliseconds between frames
const FORGET = 3000; // milliseconds out of view, after which the same code is a new scan

/**
 * Reads QR codes from the camera into `onCode(text)` until `stop()`. The same text is not told twice
 * while it stays in view, nor the next code of the same grant: a phone left under the camera renews
 * its code, which is no new scan. Frames are decoded by the browser where it can, by the service
 * where it cannot; they are kept nowhere.
 */
export class Camera {
  #video;
  #stream;
  #stopped = true;

  /** @param {HTMLVideoElement} video  @param {import("./api.js").Api} api signs for the frames */
  constructor(video, api) {
    this.#video = video;
    this.api = api;
  }

  get running() {
    return !this.#stopped;
  }

  /**
   * @param {(text: string) => void} onCode
   * @param {() => void} [onLost] the camera went away by itself
   * @throws {DOMException} NotAllowedError, NotFoundError, NotReadableError: show it and go on
   */
  async start(onCode, onLost = () => {}) {
    this.#stopped = false;
    try {
      // Without HTTPS (and not on this computer itself) a browser offers no camera at all.
      if (!navigator.mediaDevices) throw new DOMException("no camera here", "NotFoundError");
      this.#stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      if (this.#stopped) return this.#release();
      this.#stream.getVideoTracks()[0].addEventListener("ended", () => {
        this.stop();
        onLost();
      });
      this.#video.srcObject = this.#stream;
      this.#video.muted = true;
      await this.#video.play();
    } catch (error) {
      const stopped = this.#stopped;
      this.stop();
      if (stopped) return;
      throw error;
    }
    const decode = (await nativeDecoder()) ?? ((source) => this.#byService(source));
    this.#read(decode, onCode);
  }

  stop() {
    this.#stopped = true;
    this.#release();
  }

  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
    this.#video.srcObject = null;
  }

  async #read(decode, onCode) {
    const seen = new Map(); // text → when last in view
    while (!this.#stopped) {
      const began = Date.now();
      let texts = [];
      try {
        if (this.#video.readyState >= 2 && !document.hidden) texts = await decode(this.#video);
      } catch {
        // A frame that cannot be read is followed by the next one.
      }
      if (this.#stopped) return;
      for (const [text, when] of seen) if (Date.now() - when > FORGET) seen.delete(text);
      for (const text of texts) {
        const known = [...seen.keys()].some((other) => other === text || sameGrant(other, text));
        seen.set(text, Date.now());
        if (!known) onCode(text);
      }
      await pause(Math.max(50, EVERY - (Date.now() - began)));
    }
  }

  async #byService(video) {
    const scale = Math.min(1, FRAME / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const frame = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
    try {
      return (await this.api.postBody("/v1/scans", frame, { token: true, tries: 1 })).texts;
    } catch (error) {
      if (error instanceof Unreachable || error instanceof Problem) await pause(1000);
      return [];
    }
  }
}

async function nativeDecoder() {
  if (!("BarcodeDetector" in globalThis)) return null;
  const formats = await BarcodeDetector.getSupportedFormats().catch(() => []);
  if (!formats.includes("qr_code")) return null;
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  return async (video) => (await detector.detect(video)).map((found) => found.rawValue);
}

let sound;

/** One high tone for yes, two low ones for no. Silent where the browser does not allow sound yet. */
export function beep(good) {
  try {
    sound ??= new AudioContext();
    sound.resume().catch(() => {});
    for (const [start, length] of good ? [[0, 0.2]] : [[0, 0.22], [0.3, 0.4]]) {
      const begin = sound.currentTime + start;
      const tone = sound.createOscillator();
      const volume = sound.createGain();
      tone.frequency.value = good ? 1320 : 220;
      volume.gain.setValueAtTime(0.15, begin);
      volume.gain.exponentialRampToValueAtTime(0.001, begin + length);
      tone.connect(volume).connect(sound.destination);
      tone.start(begin);
      tone.stop(begin + length);
    }
  } catch {
    // No sound device: the screen says it too.
  }
}

/** Keeps the screen on until the lock is released; undefined where the browser cannot. */
export async function keepAwake() {
  try {
    return await navigator.wakeLock?.request("screen");
  } catch {
    return undefined;
  }
}
