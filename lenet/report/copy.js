// A command to the clipboard; where the browser gives none, it is selected.

addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const command = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(command.textContent);
  } catch {
    getSelection().selectAllChildren(command);
    return;
  }
  button.replaceChildren(...spans("copied"));
  setTimeout(() => button.replaceChildren(...spans("copy")), 2000);
});
