const find = document.getElementById("find");
find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("main section")) {
    let shown = 0;
    for (const article of section.querySelectorAll("article")) {
      const text = article.textContent.toLowerCase();
      article.hidden = !words.every((word) => text.includes(word));
      shown += article.hidden ? 0 : 1;
    }
    section.hidden = words.length > 0 && shown === 0;
  }
});
