// SPDX-License-Identifier: LGPL-2.1-or-later
// What look.mjs asks of a page; this runs in the page itself. An answer is a list of faults, a line each.
globalThis.duetLook = (() => {
  // Of a text's box that much at the top and at the bottom has no ink, in heights of the box.
  const BLANK = 0.2;
  // Texts of a chart may share that much of the smaller one's box.
  const SHARED = 0.1;

  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const words = (element) => element.textContent.replace(/\s+/g, ' ').trim();
  const round = (number) => Math.round(number * 10) / 10;

  // What a person needs to find an element.
  function named(element) {
    const id = element.id ? `#${element.id}` : '';
    const kind = [...element.classList].map((name) => `.${name}`).join('');
    const text = words(element);
    return `<${element.localName}${id}${kind}> '${text.length > 50 ? `${text.slice(0, 50)}...` : text}'`;
  }

  // All text nodes below an element that can be seen, of HTML or of SVG.
  function textNodes(root, svg) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || element instanceof SVGElement !== svg) continue;
      if (svg && !element.closest('text')) continue;
      if (element.getClientRects().length > 0 && shown(element)) found.push(walker.currentNode);
    }
    return found;
  }

  function boxOf(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getBoundingClientRect();
  }

  // Texts for those who hear a page: a box of a pixel, or cut down to nothing.
  function forEarsOnly(element) {
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (/inset\(50%|inset\(100%/.test(style.clipPath) || /^rect\((0px,? ?|1px,? ?){4}\)/.test(style.clip)) return true;
      if (style.overflowX !== 'visible' && style.display !== 'inline' && e.clientWidth <= 1) return true;
    }
    return false;
  }

  // overflow: the document is as wide as the view. Who makes it wider is the deepest of those that reach furthest.
  function overflow(width) {
    const root = document.documentElement;
    const faults = [];
    if (root.clientWidth !== width) {
      faults.push(`laid out for ${root.clientWidth} px, not ${width}: is there a <meta name="viewport">?`);
    }
    if (root.scrollWidth <= root.clientWidth) return faults;
    let widest = null;
    let right = 0;
    for (const element of document.body.querySelectorAll('*')) {
      const edge = element.getBoundingClientRect().right + scrollX;
      if (edge < right || edge <= root.clientWidth || insideScroller(element)) continue;
      right = edge;
      widest = element;
    }
    faults.push(`${root.scrollWidth} px wide in a view of ${root.clientWidth}` +
      (widest ? `: ${named(widest)} reaches to ${round(right)}` : ''));
    return faults;
  }
  function insideScroller(element) {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement) {
      if (getComputedStyle(e).overflowX !== 'visible') return true;
    }
    return false;
  }

  // clipped: each text can be seen whole, if need be by scrolling what it is in; paper does not scroll.
  function clipped(paper) {
    const faults = [];
    for (const node of textNodes(document.body, false)) {
      const element = node.parentElement;
      if (forEarsOnly(element)) continue;
      const fault = clippedBy(element, boxOf(node), paper);
      if (fault) faults.push(`${named(element)} ${fault}`);
    }
    return faults;
  }
  function clippedBy(element, box, paper) {
    const low = parseFloat(getComputedStyle(element).fontSize) * BLANK;
    let { left, right, top, bottom } = box;
    let escapes = false; // what is absolute is not clipped by what it is not placed in
    let placed = false;
    for (let e = element; e && e !== document.body; e = e.parentElement) {
      const style = getComputedStyle(e);
      const positioned = style.position !== 'static';
      if (!escapes || positioned) {
        const outer = e.getBoundingClientRect();
        const x = { from: outer.left + e.clientLeft, size: e.clientWidth };
        const y = { from: outer.top + e.clientTop, size: e.clientHeight };
        const cuts = (how) => how === 'hidden' || how === 'clip' || (paper && how !== 'visible');
        if (style.display !== 'inline' && style.display !== 'contents') {
          if (cuts(style.overflowX) && (left < x.from - 1 || right > x.from + x.size + 1)) {
            return `is cut off by ${named(e)}: ${round(right - left)} px wide in ${x.size}`;
          }
          if (cuts(style.overflowY) && (top < y.from - low || bottom > y.from + y.size + low)) {
            return `is cut off by ${named(e)}: ${round(top - y.from)} to ${round(bottom - y.from)} px in ${y.size}`;
          }
          // What scrolls shows it, unless it lies before its beginning; all that's further out shows the scroller.
          if (style.overflowX !== 'visible' && style.overflowX !== 'clip') {
            if (left < x.from - e.scrollLeft - 1) return `lies left of what ${named(e)} scrolls`;
            if (top < y.from - e.scrollTop - low) return `lies above what ${named(e)} scrolls`;
            ({ left, right, top, bottom } = outer);
          }
        }
      }
      if (positioned) placed = true;
      if (style.position === 'fixed') return null;
      if (style.position === 'absolute') escapes = true;
      else if (positioned) escapes = false;
    }
    // A link for the keyboard, say, is put out there and comes in with the focus.
    return !placed && (left + scrollX < -1 || top + scrollY < -low) ? 'lies outside of the page' : null;
  }

  // charts: each figure has a picture with lines and words, and says what it is.
  const SHAPES = 'path, line, polyline, polygon, rect, circle, ellipse, use';
  function paints(element) {
    const style = getComputedStyle(element);
    const box = element.getBBox();
    if (!shown(element) || element.getClientRects().length === 0 || (box.width === 0 && box.height === 0)) return false;
    if (element.localName === 'use') return true;
    const seen = (colour) => colour !== 'none' && !/^rgba\(.*, 0\)$/.test(colour);
    const area = box.width > 0 && box.height > 0;
    return (area && seen(style.fill)) || (seen(style.stroke) && parseFloat(style.strokeWidth) > 0);
  }
  // A rectangle behind everything is no chart.
  function isBackground(element, svg) {
    const box = element.getBoundingClientRect();
    const all = svg.getBoundingClientRect();
    return element.localName === 'rect' && box.width >= all.width * 0.98 && box.height >= all.height * 0.98;
  }
  function charts(least) {
    const figures = [...document.querySelectorAll('figure')];
    const faults = [];
    if (figures.length < least) faults.push(`${figures.length} figures, not ${least}`);
    for (const figure of figures) {
      const svgs = [...figure.querySelectorAll('svg')].filter((svg) => {
        const box = svg.getBoundingClientRect();
        return shown(svg) && box.width >= 100 && box.height >= 50;
      });
      const drawn = svgs.filter((svg) => [...svg.querySelectorAll(SHAPES)].some((e) => paints(e) && !isBackground(e, svg)));
      const labelled = drawn.filter((svg) => svgTexts(svg).length > 0);
      const caption = [...figure.querySelectorAll('figcaption')].find((e) => shown(e) && words(e));
      if (svgs.length === 0) faults.push(`${named(figure)} has no <svg> that is seen`);
      else if (drawn.length === 0) faults.push(`${named(figure)} has nothing drawn in its <svg>`);
      else if (labelled.length === 0) faults.push(`${named(figure)} has no text in its <svg>`);
      if (!caption) faults.push(`${named(figure)} has no <figcaption> that says anything`);
    }
    return faults;
  }

  // Those elements of a picture that hold text themselves.
  function svgTexts(svg) {
    const found = new Set();
    for (const node of textNodes(svg, true)) {
      const element = node.parentElement;
      const style = getComputedStyle(element);
      if (style.fill !== 'none' || style.stroke !== 'none') found.add(element);
    }
    return [...found];
  }
  const pictures = () => [...document.querySelectorAll('svg')].filter((svg) => !svg.ownerSVGElement && shown(svg));

  // svg-size: the size that a text has on the screen, not that of its picture's own units.
  function scaleOf(element) {
    const m = element.getScreenCTM();
    return Math.sqrt(Math.abs(m.a * m.d - m.b * m.c));
  }
  const svgPixels = (element) => parseFloat(getComputedStyle(element).fontSize) * scaleOf(element);
  function svgSize(least) {
    return pictures().flatMap(svgTexts).filter((e) => svgPixels(e) < least - 0.05)
      .map((e) => `${named(e)} is ${round(svgPixels(e))} px high, less than ${least}`);
  }

  // The corners on the screen of what has ink in a text: it may be turned.
  function corners(element) {
    const box = element.getBBox();
    const m = element.getScreenCTM();
    const top = box.y + box.height * BLANK;
    const bottom = box.y + box.height * (1 - BLANK);
    return [[box.x, top], [box.x + box.width, top], [box.x + box.width, bottom], [box.x, bottom]]
      .map(([x, y]) => [m.a * x + m.c * y + m.e, m.b * x + m.d * y + m.f]);
  }

  // svg-inside: no text leaves its picture.
  function svgInside() {
    const faults = [];
    for (const svg of pictures()) {
      const box = svg.getBoundingClientRect();
      for (const element of svgTexts(svg)) {
        const out = Math.max(...corners(element).map(([x, y]) =>
          Math.max(box.left - x, x - box.right, box.top - y, y - box.bottom)));
        if (out > 1) faults.push(`${named(element)} is ${round(out)} px outside of its picture`);
      }
    }
    return faults;
  }

  // The part of a convex polygon that lies in another one, side by side (Sutherland and Hodgman, 1974).
  function intersection(polygon, other) {
    const sign = Math.sign(signedArea(other)) || 1;
    let left = polygon;
    for (let i = 0; i < other.length && left.length > 0; i++) {
      const [ax, ay] = other[i];
      const [bx, by] = other[(i + 1) % other.length];
      const side = ([x, y]) => sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax));
      const next = [];
      left.forEach((p, j) => {
        const q = left[(j + 1) % left.length];
        const [s, t] = [side(p), side(q)];
        if (s >= 0) next.push(p);
        if (s * t < 0) next.push([p[0] + ((q[0] - p[0]) * s) / (s - t), p[1] + ((q[1] - p[1]) * s) / (s - t)]);
      });
      left = next;
    }
    return left;
  }
  function signedArea(polygon) {
    return polygon.reduce((sum, [x, y], i) => {
      const [u, v] = polygon[(i + 1) % polygon.length];
      return sum + (x * v - u * y) / 2;
    }, 0);
  }
  const area = (polygon) => Math.abs(signedArea(polygon));

  // svg-overlap: no text of a picture is written over another.
  function svgOverlap() {
    const faults = [];
    for (const svg of pictures()) {
      const texts = svgTexts(svg).map((element) => ({ element, whole: element.closest('text'), shape: corners(element) }));
      texts.forEach((a, i) => {
        for (const b of texts.slice(i + 1)) {
          if (a.whole === b.whole) continue;
          const share = area(intersection(a.shape, b.shape)) / Math.min(area(a.shape), area(b.shape));
          if (share > SHARED) {
            faults.push(`${named(a.element)} and ${named(b.element)} share ${Math.round(share * 100)} % of their place`);
          }
        }
      });
    }
    return faults;
  }

  // svg-contrast: axe-core takes the `color` of a word in a picture for its ink, which is its `fill`.
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colours = new Map();
  function colourOf(text) {
    if (!colours.has(text)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = text;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      colours.set(text, [r, g, b, a / 255]);
    }
    return colours.get(text);
  }
  const over = ([r, g, b, a], [u, v, w]) => [r * a + u * (1 - a), g * a + v * (1 - a), b * a + w * (1 - a), 1];
  // The ratio of https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio.
  function luminance(colour) {
    const [r, g, b] = colour.map((c) => (c <= 10 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function contrast(a, b) {
    const [dark, light] = [luminance(a), luminance(b)].sort((p, q) => p - q);
    return (light + 0.05) / (dark + 0.05);
  }
  // What an element fills its place with, as far as one sees through it.
  function filling(element, property, opacity) {
    const style = getComputedStyle(element);
    if (/^(none|url|context)/.test(style[property])) return null;
    const [r, g, b, a] = colourOf(style[property]);
    let seen = a * (opacity ? parseFloat(style[opacity]) : 1);
    for (let e = element; e; e = e.parentElement) seen *= parseFloat(getComputedStyle(e).opacity);
    return seen > 0 ? [r, g, b, seen] : null;
  }
  function canvasColour() {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = 'Canvas';
    const colour = colourOf(getComputedStyle(probe).color);
    probe.remove();
    return [document.body, document.documentElement].map((e) => filling(e, 'backgroundColor')).filter(Boolean)
      .reduceRight((below, layer) => over(layer, below), colour);
  }
  function behind(element) {
    const box = element.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const layers = [];
    for (const e of document.elementsFromPoint(x, y)) {
      if (e === document.body) break;
      let layer = null;
      if (!(e instanceof SVGElement) || e.localName === 'svg') layer = filling(e, 'backgroundColor');
      else if (e instanceof SVGGeometryElement) {
        const local = new DOMPoint(x, y).matrixTransform(e.getScreenCTM().inverse());
        if (e.isPointInFill(local)) layer = filling(e, 'fill', 'fillOpacity');
      }
      if (layer) layers.push(layer);
    }
    return layers.reduceRight((below, layer) => over(layer, below), canvasColour());
  }
  function svgContrast() {
    const faults = [];
    for (const element of pictures().flatMap(svgTexts)) {
      const ink = filling(element, 'fill', 'fillOpacity');
      if (!ink) continue;
      element.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
      const size = svgPixels(element);
      const bold = parseFloat(getComputedStyle(element).fontWeight) >= 700;
      const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
      const paper = behind(element);
      const ratio = contrast(over(ink, paper), paper);
      if (ratio < least) faults.push(`${named(element)} has a contrast of ${ratio.toFixed(2)}, less than ${least}`);
    }
    scrollTo(0, 0);
    return faults;
  }

  // text-size: of what is read. What stands above or below a line may be smaller.
  function textSize({ text, table, raised }) {
    const faults = new Map();
    for (const node of textNodes(document.body, false)) {
      const element = node.parentElement;
      if (forEarsOnly(element)) continue;
      const size = parseFloat(getComputedStyle(element).fontSize);
      const least = element.closest('sub, sup') ? raised : element.closest('table') ? table : text;
      if (size < least - 0.05) faults.set(element, `${named(element)} has ${round(size)} px, less than ${least}`);
    }
    return [...faults.values()];
  }

  // What the page tells: all that a script must not be needed for.
  function contents() {
    const told = 'h1, h2, h3, h4, h5, h6, p, li, dt, dd, pre, caption, th, td, figcaption';
    const texts = [...document.querySelectorAll(told)].filter((e) => shown(e) && words(e))
      .map((e) => `<${e.localName}> '${words(e)}'`);
    const drawn = [...document.querySelectorAll('figure svg')].filter(shown)
      .map((svg) => `<svg> with ${svg.querySelectorAll(SHAPES).length} shapes`);
    return [...texts, ...drawn];
  }

  // What a browser would look up ahead, which is no request yet.
  function ahead() {
    return [...document.querySelectorAll('link[href]')].filter((e) => !/^(data:|#)/.test(e.getAttribute('href')))
      .map((e) => `<link rel="${e.rel}"> of ${e.href}`);
  }

  function downloads() {
    return [...document.querySelectorAll('a[download]')]
      .map((e) => ({ name: e.getAttribute('download') || words(e), href: e.href }));
  }

  // What @page leaves free at the left and at the right.
  function margins() {
    let sum = 0;
    const add = (rules) => {
      for (const rule of rules) {
        if (rule instanceof CSSPageRule && !rule.selectorText) {
          sum = ['margin-left', 'margin-right'].map((name) => rule.style.getPropertyValue(name)).filter(Boolean)
            .reduce((all, value) => all + CSSNumericValue.parse(value).to('px').value, 0);
        } else if (rule.cssRules && (!rule.media || matchMedia(rule.media.mediaText).matches)) add(rule.cssRules);
      }
    };
    for (const sheet of document.styleSheets) add(sheet.cssRules);
    return sum;
  }

  // As a reader does who wants to see all: what is folded is opened, and the page looked at down to its end.
  function unfold(paper) {
    if (!paper) document.querySelectorAll('details').forEach((e) => e.setAttribute('open', ''));
    scrollTo(0, document.documentElement.scrollHeight);
    scrollTo(0, 0);
  }

  return {
    ahead, charts, clipped, contents, downloads, margins, overflow, svgContrast, svgInside, svgOverlap, svgSize, textSize,
    unfold,
  };
})();
