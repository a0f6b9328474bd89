// A custom node in JavaScript: hides e-mail addresses and card numbers in a text.

const PATTERNS = {
  email: /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g,
  card: /\b(?:\d[ -]?){12,18}\d\b/g,
};

/** Whether the digits of a card number add up (Luhn, ISO/IEC 7812-1). */
function isCard(text) {
  const digits = [...text].filter((c) => c >= "0" && c <= "9").map(Number).reverse();
  const sum = digits.reduce((sum, digit, i) => {
    const part = i % 2 ? digit * 2 : digit;
    return sum + (part > 9 ? part - 9 : part);
  }, 0);
  return sum % 10 === 0;
}

export const node = {
  describe() {
    return {
      title: "Mask",
      description: "Hides e-mail addresses and card numbers in a text",
      configSchema: JSON.stringify({
        type: "object",
        additionalProperties: false,
        required: ["text"],
        properties: {
          text: { type: "string", description: "What may hold something to hide" },
          what: { type: "array", items: { enum: ["email", "card"] }, default: ["email", "card"] },
          mask: { type: "string", maxLength: 20, default: "***" },
        },
      }),
      outputSchema: JSON.stringify({
        type: "object",
        properties: { text: { type: "string" }, masked: { type: "integer" } },
      }),
      example: JSON.stringify({ text: "{{ inputs.message }}", what: ["email"] }),
      handles: ["clean"],
      hosts: [],
    };
  },

  run(call) {
    const { text, what = ["email", "card"], mask = "***" } = JSON.parse(call.config);
    let masked = 0;
    const hide = (found) => {
      masked += 1;
      return mask;
    };
    let out = text;
    if (what.includes("email")) out = out.replace(PATTERNS.email, hide);
    if (what.includes("card")) out = out.replace(PATTERNS.card, (found) => (isCard(found) ? hide(found) : found));
    return {
      ended: {
        tag: "ok",
        val: { output: JSON.stringify({ text: out, masked }), handle: masked ? "output" : "clean" },
      },
      logs: masked ? [{ level: "info", text: `${masked} hidden` }] : [],
    };
  },
};
