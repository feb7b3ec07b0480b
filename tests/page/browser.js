// Opens a page in headless Chromium, takes steps, and prints what it saw as one line of JSON:
// node browser.js PLAYWRIGHT CHROMIUM URL FOLDER STEPS
// STEPS is a list: ["key", KEY], ["move", X, Y] (parts of the canvas), ["text", NAME, SELECTOR], ["shot", NAME],
// ["click", SELECTOR], ["value", NAME, EXPRESSION].
"use strict";
const [playwright, executablePath, url, folder, steps] = process.argv.slice(2);
const { chromium } = require(playwright);

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 900, height: 640 } });
  const seen = { errors: [], requests: [], texts: {}, state: "" };
  page.on("console", (message) => {
    if (message.type() === "error") seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("dialog", (dialog) => {
    seen.errors.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => seen.requests.push(request.url().slice(0, 200)));
  await page.goto(url);
  await page.waitForSelector("body[data-state]", { state: "attached", timeout: 240000 });
  seen.state = await page.evaluate("document.body.dataset.state");
  for (const [action, ...values] of JSON.parse(steps)) {
    if (action === "key") await page.keyboard.press(values[0]);
    else if (action === "click") await page.click(values[0]);
    else if (action === "text") seen.texts[values[0]] = await page.locator(values[1]).allInnerTexts();
    else if (action === "value") seen.texts[values[0]] = await page.evaluate(values[1]);
    else if (action === "move") {
      const box = await page.locator("#view").boundingBox();
      await page.mouse.move(box.x + values[0] * box.width, box.y + values[1] * box.height);
    } else if (action === "shot") {
      await page.waitForTimeout(300);
      await page.locator("#view").screenshot({ path: `${folder}/${values[0]}.png`, timeout: 120000 });
    } else throw new Error(`unknown step ${action}`);
  }
  await browser.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
