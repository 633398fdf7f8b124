"""GradCAM: channels of a layer weighted by their mean gradient."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from auditgame.datasets.images.pictures import stretch
from auditgame.exhibits import Exhibit
from auditgame.schema.records import Modality
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.vision.layer_maps import LayerField, layer
from auditgame.tools.vision.pixel_attribution import gradcam
from auditgame.tools.vision.saliency import SaliencyOptions, queries, shown


class GradCAM(Tool):
    """Which positions of a layer raise the class logit?

    Reading it: channels are weighted by the mean gradient of the class logit, and the sum
    is scaled to the image's size. Values are raw and signed (other tools clip at zero and
    rescale each image, so that two of them cannot be compared): positive raises the
    class, negative lowers it. All maps of one call share a scale.

    How it misleads: the map depends on the layer. On the small network here the third
    convolution gave the spot of a corner patch, the fourth a quadrant, the second noise;
    it showed a patch, a mark and a word, but not a sinusoid, a colour or a semantic
    trigger. On backdoored networks trained elsewhere only 1.2 % of its mass fell on a
    3x3 corner trigger (occlusion: 20 %): a map without a spot does not prove a clean model.

    Source: Selvaraju et al. 2016, arXiv:1610.02391. Check: Adebayo et al. 2018,
    arXiv:1810.03292.
    """

    name = "gradcam"
    title = "GradCAM"
    asks = "Where does it look?"
    modality: ClassVar[frozenset[Modality]] = frozenset({"image"})
    needs_sites = True

    class Options(SaliencyOptions):
        """Images, class, and layer."""

        site: LayerField = ""

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """Three queries for each image (its answer, forward, backward); seven with checks."""
        return queries(options, context, 2)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """Heat maps, their check, and a table of correlations."""
        site = layer(specimen, options.site)

        def explain(
            model: Specimen, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]
        ) -> Float[Tensor, "n h w"]:
            return stretch(gradcam(model, images, labels, site), tuple(images.shape[2:]))

        return shown({f"GradCAM at {site}": explain}, specimen, context, options)
