// Before anything is drawn: the light that was chosen, else the one the system has.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem('tastemaker-theme'); } catch { /* no storage, no memory */ }
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
})();
