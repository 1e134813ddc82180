/** A greeting; strangers are greeted as the world. */
export function greet(name) {
  const trimmed = (name ?? "").trim().slice(0, 100);
  return `Hello, ${trimmed === "" ? "world" : trimmed}!`;
}
