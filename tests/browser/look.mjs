// Opens a page in a headless Chromium and prints, as JSON, what a reader would meet: errors, requests, what does not fit,
// words that are hard to read, and what is there without scripts and in print. A PDF goes into a folder, and pictures do
// if somebody asks for them.
//
//     node look.mjs page.html folder [pictures]

import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import bundled from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const [page, folder] = process.argv.slice(2, 4).map((path) => resolve(path));
const pictures = process.argv[4] === "pictures";
const url = pathToFileURL(page).href;
const SIZES = { desktop: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };
const HIGHEST = 2000;

const browser = await chromium.launch({ executablePath: await bundled.executablePath(), args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const found = { errors: [], requests: [], views: {} };

async function opened(viewport, colorScheme, javaScriptEnabled = true) {
  const tab = await browser.newPage({ viewport, colorScheme, javaScriptEnabled });
  tab.on("console", (said) => ["error", "warning"].includes(said.type()) && found.errors.push(said.text()));
  tab.on("pageerror", (error) => found.errors.push(String(error)));
  tab.on("requestfailed", (request) => found.errors.push(`failed: ${request.url().slice(0, 200)}`));
  tab.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) found.requests.push(request.url());
  });
  await tab.goto(url);
  return tab;
}

// On a busy machine a picture may not come in time.
async function again(act, tries = 5) {
  try {
    await act();
  } catch (error) {
    if (tries === 1) throw error;
    await again(act, tries - 1);
  }
}

// A picture of the page in parts, for there is a limit to how high one may be.
async function pictured(tab, { width }, name) {
  const whole = await tab.evaluate(() => document.documentElement.scrollHeight);
  for (let y = 0, part = 1; y < whole; y += HIGHEST, part += 1) {
    await tab.setViewportSize({ width, height: Math.min(HIGHEST, whole - y) });
    await tab.evaluate((to) => window.scrollTo(0, to), y);
    await again(() => tab.screenshot({ path: join(folder, `${name}-${part}.png`) }));
  }
}

// The two functions that follow run within the page.
function measured() {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  });
  const channels = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => a * value + (1 - a) * below[i]);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(channels(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  // Of words in a picture: what is drawn below their middle.
  const beneath = (element, svg) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    const [middle, line] = [x + width / 2, y + height / 2];
    const fills = [...svg.querySelectorAll("rect")]
      .filter((each) => {
        const { left, right, top, bottom } = each.getBoundingClientRect();
        return left <= middle && middle <= right && top <= line && line <= bottom;
      })
      .map((each) => getComputedStyle(each).fill)
      .filter((fill) => fill !== "none");
    return fills.reduce((below, fill) => over(channels(fill), below), ground(svg.parentElement));
  };
  // Relative luminance and contrast ratio, as WCAG 2.2 defines them.
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };

  const { scrollWidth, clientWidth } = document.documentElement;
  for (const each of document.querySelectorAll("details")) each.open = true;
  const opened = document.documentElement.scrollWidth;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  let words = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || element.closest("title, desc") || !element.checkVisibility()) continue;
    const svg = element.closest("svg");
    const below = svg ? beneath(element, svg) : ground(element);
    const colour = over(channels(getComputedStyle(element)[svg ? "fill" : "color"]), below);
    const ratio = contrast(colour, below);
    words += 1;
    if (ratio < 4.5) faint.push([text.slice(0, 60), Number(ratio.toFixed(2))]);
  }
  return { width: clientWidth, needed: scrollWidth, needed_opened: opened, words, faint };
}

function shown() {
  const seen = (each) => each.getClientRects().length > 0 && each.checkVisibility({ contentVisibilityAuto: true });
  const texts = (what) => [...document.querySelectorAll(what)].filter(seen).map((each) => each.textContent);
  return {
    headings: texts("h2"),
    tables: texts("table caption"),
    specs: texts("pre"),
    pictures: [...document.querySelectorAll("svg:not(.swatch)")].filter((each) => each.getBoundingClientRect().width > 50).length,
  };
}

for (const [name, size] of Object.entries(SIZES)) {
  for (const scheme of ["light", "dark"]) {
    const tab = await opened(size, scheme);
    if (pictures) await pictured(tab, size, `${name}-${scheme}`);
    await tab.setViewportSize(size);
    found.views[`${name}-${scheme}`] = await tab.evaluate(measured);
    await tab.close();
  }
}
const plain = await opened(SIZES.desktop, "light", false);
found.plain = await plain.evaluate(shown);
await plain.emulateMedia({ media: "print" });
found.print = await plain.evaluate(shown);
await plain.pdf({ path: join(folder, "page.pdf"), format: "A4", printBackground: true, tagged: true, outline: true });
await browser.close();
console.log(JSON.stringify(found));
