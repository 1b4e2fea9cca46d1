(text) => {
  // What a USB scanner does, at its own pace however busy this machine is: keys, then Enter.
  const press = (code, key) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", { code, key, bubbles: true, cancelable: true }));
  for (const char of text) press(/[A-Z]/.test(char) ? `Key${char}` : `Digit${char}`, char);
  press("Enter", "Enter");
}
