"""The terminal dashboard, `stackr ui`: a stack's containers, their logs, and what `up` would do.

By Textual, which is an extra (`stackr[ui]`): only `app` and `dialogs` import it. A caller of
`stackr.stack`, as the command line is; its words for plans are those of `stackr.cli.views`.
"""
