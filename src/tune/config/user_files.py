"""The user's own folder of configuration, read by Hydra and looked through before anything is made of it.

Hydra finds this class by the beginning of an address, as it finds its own for file:// and pkg://. A file
is checked when it is read, so one that nobody asked for does no harm and is not complained about.
"""

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf
from yaml import YAMLError

from tune.config.foreign import check_content, check_package
from tune.errors import ConfigError


class UserFiles(FileConfigSource):
    """A folder whose files may name things and run nothing."""

    @staticmethod
    def scheme() -> str:
        """Return the beginning of addresses that Hydra takes to this class."""
        return "user"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file's content.

        Raises:
            ConfigError: The file stands outside the folder, is no YAML, or would run or read something.
        """
        folder = Path(self.path).resolve()
        file = (folder / self._normalize_file_name(config_path)).resolve()
        if not file.is_relative_to(folder):
            msg = f"{config_path} leads out of {folder}. Name a file in the folder that you gave with --config-dir."
            raise ConfigError(msg)
        try:
            result = super().load_config(config_path)
        except (YAMLError, UnicodeDecodeError) as error:
            msg = f"{file} is no YAML: {' '.join(str(error).split())}. Mend it."
            raise ConfigError(msg) from error
        check_package(result.header.get("package"), str(file))
        check_content(OmegaConf.to_container(result.config, resolve=False), str(file))
        return result


def address(folder: Path) -> str:
    """Return the folder's address for Hydra's search path."""
    Plugins.instance().register(UserFiles)
    return f"user://{folder.resolve()}"
