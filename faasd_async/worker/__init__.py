"""The foreman: takes a token, takes a delivery, has it invoked, settles it."""
