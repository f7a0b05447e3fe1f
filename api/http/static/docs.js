// One page for both definitions: choosing one draws it afresh. The choice is in the address.
const definition = document.getElementById("definition");

function draw() {
  SwaggerUIBundle({
    url: definition.value,
    dom_id: "#ui",
    deepLinking: false,
    persistAuthorization: true,
    validatorUrl: null,
  });
}

const chosen = new URLSearchParams(location.search).get("definition");
for (const option of definition.options) {
  if (option.value === chosen) definition.value = chosen;
}
definition.addEventListener("change", () => {
  history.replaceState(null, "", `?definition=${encodeURIComponent(definition.value)}`);
  draw();
});
draw();
