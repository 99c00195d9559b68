"""What the documentation of libraries takes for granted."""

# Names that the documentation of a library uses without an import.
COMMON = {"np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot", "tf": "tensorflow"}
ALIASES = {
    "dask": {"da": "dask.array", "dd": "dask.dataframe", "db": "dask.bag", "dask": "dask"},
    "flax": {"nnx": "flax.nnx", "nn": "flax.linen", "jax": "jax", "jnp": "jax.numpy", "flax": "flax"},
    "geopandas": {"geopandas": "geopandas", "gpd": "geopandas"},
    "ibis": {"ibis": "ibis"},
    "imblearn": {"imblearn": "imblearn"},
    "jax": {"jax": "jax", "jnp": "jax.numpy", "lax": "jax.lax"},
    "keras": {"keras": "keras", "layers": "keras.layers", "ops": "keras.ops"},
    "librosa": {"librosa": "librosa"},
    "mpmath": {"mpmath": "mpmath"},
    "networkx": {"nx": "networkx"},
    "polars": {"pl": "polars"},
    "pyvista": {"pv": "pyvista", "pyvista": "pyvista"},
    "scipy": {"scipy": "scipy"},
    "shapely": {"shapely": "shapely"},
    "skimage": {"skimage": "skimage"},
    "statsmodels": {"sm": "statsmodels.api", "smf": "statsmodels.formula.api"},
    "torch": {"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional"},
    "torchmetrics": {"torch": "torch"},
    "kornia": {"torch": "torch", "kornia": "kornia"},
    "xarray": {"xr": "xarray"},
}
# Libraries whose calls count without being followed, because their sources are not read.
OTHERS = {"matplotlib", "pyarrow", "pyspark", "seaborn", "tensorflow", "torchvision", "transformers"}
# NumPy's functions that return an ndarray whatever the arguments are; its stubs have no single annotation.
ARRAYS = set(
    "array asarray zeros ones empty full arange linspace logspace geomspace eye identity zeros_like "
    "ones_like empty_like full_like diag tri tril triu".split()
)
# Properties whose methods are documented as Class.property.method.
ACCESSORS = {"str", "dt", "cat", "sparse", "list", "arr", "struct", "bin", "name", "meta", "plot"}
