"use strict";
const inputs = [...document.querySelectorAll("input[type=radio]")];
const articles = [...document.querySelectorAll("article")];
const criteria = [...new Set(inputs.map((input) => input.dataset.criterion))];
const kept = `ratings-${document.body.dataset.content}`;
const rater = document.getElementById("rater");

function grade(line, criterion) {
  const chosen = document.querySelector(`input[name="${line}-${criterion}"]:checked`);
  return chosen ? chosen.value : "";
}

function complete(line) {
  return criteria.every((criterion) => grade(line, criterion));
}

function show() {
  for (const article of articles) article.classList.toggle("rated", complete(article.id));
  const rated = articles.filter((article) => complete(article.id)).length;
  document.getElementById("progress").textContent = `${rated} of ${articles.length} rated`;
}

function keep() {
  const chosen = inputs.filter((input) => input.checked).map((input) => [input.name, input.value]);
  try {
    localStorage.setItem(kept, JSON.stringify({ rater: rater.value, chosen }));
  } catch {
    // Without storage the grades last as long as the page is open.
  }
  show();
}

function recall() {
  try {
    const before = JSON.parse(localStorage.getItem(kept)) || { rater: "", chosen: [] };
    rater.value = before.rater;
    const values = new Map(before.chosen);
    for (const input of inputs) input.checked = values.get(input.name) === input.value;
  } catch {
    // As above.
  }
  show();
}

function save() {
  const lines = articles.map((article) => [article.id, ...criteria.map((criterion) => grade(article.id, criterion))]);
  const half = articles.filter((article) => criteria.some((each) => grade(article.id, each)) && !complete(article.id));
  if (half.length) {
    alert(`${half.length} answers have one grade only, the first ${half[0].id}: give both, please.`);
    half[0].scrollIntoView();
    return;
  }
  const name = rater.value.trim().replace(/[^\w.-]+/g, "-");
  if (!name) {
    alert("Enter a name first: the file is named after it, and nobody else's grades are taken for yours.");
    rater.focus();
    return;
  }
  const text = [["id", ...criteria], ...lines].map((line) => line.join(",")).join("\n") + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.addEventListener("input", keep);
document.getElementById("save").addEventListener("click", save);
document.getElementById("next").addEventListener("click", () => {
  const open = articles.find((article) => !complete(article.id));
  if (open) open.scrollIntoView();
});
recall();
