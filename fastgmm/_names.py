"""Names of structures, starts and criteria: for the registries, and for the command line, which answers before they are loaded."""

#: Structures that scikit-learn has; each is also the name of a layout.
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
#: Structures by the names of mclust (Scrucca, Fop, Murphy & Raftery, The R Journal 8(1), 2016, table 3), simpler ones first.
MCLUST_NAMES = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
#: scikit-learn's names, from 1.9 on, for structures that are also EEI and EII.
TIED_NAMES = ("tied-diagonal", "tied-spherical")
#: Structures of one feature.
ONE_FEATURE = ("E", "V")
#: Starts, as `init_params` has them.
STARTS = ("kmeans", "k-means++", "random", "random_from_data", "whitened", "hierarchical", "em-em", "auto")
#: Accelerations of EM.
ACCELERATIONS = ("auto", "over-relaxation", "squarem")
#: How sweeps over the data are made.
ALGORITHMS = ("dense", "pruned")
#: Priors that have a name.
PRIORS = ("default",)
#: What happens to components that collapse.
ON_COLLAPSE = ("raise", "reset")
#: What missing values are.
MISSING_VALUES = ("raise", "marginalize")
#: Criteria that models are chosen by.
CRITERIA = ("bic", "icl", "aic")
#: Kinds of discriminant analysis, and what chooses among its models.
CLASSIFIERS, CLASS_CRITERIA = ("edda", "mclustda"), ("bic", "cv")
#: Priors of the weights of a variational fit.
WEIGHT_PRIORS = ("dirichlet_process", "dirichlet_distribution")
#: Kinds of discriminant analysis: one component for each class, or a mixture for each; and what chooses among candidates.
CLASSIFIERS = ("edda", "mclustda")
CHOICES = ("bic", "cv")
#: How replicates of a bootstrap are made.
RESAMPLING = ("weighted", "nonparametric", "parametric")
