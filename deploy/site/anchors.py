"""A heading's anchor as JupyterLab makes it: the lessons link the glossary that way."""


def jupyter(title: str) -> str:
    return title.replace(" ", "-")
