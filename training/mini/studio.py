"""Pictures of solids: a camera and two lamps before a 3D model, without a screen, by VTK."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.mini.trunk import Floats, Pixels

SIZE = 256
_AWAY = 1.9


@dataclass(frozen=True)
class Solid:
    """Surfaces of four corners each, and what is printed on them.

    Attributes:
        corners: ``(N, 4, 3)`` positions, y upwards, the front towards z.
        places: ``(N, 4, 2)`` where a corner lies in the print, in [0, 1], from the lower left.
        print: what is printed.
    """

    corners: Floats
    places: Floats
    print: Image.Image


def save_whole(picture: Image.Image, path: Path) -> None:
    """Save a picture as PNG, whole or not at all."""
    partial = path.with_suffix(".partial")
    picture.save(partial, "PNG")
    partial.rename(path)


class Studio:
    """Takes pictures ``(256, 256, 4)`` of what is on its stage; the rest is transparent."""

    def __init__(self) -> None:
        self._vtk: Any = import_module("vtkmodules.all")
        self._numbers: Any = import_module("vtkmodules.util.numpy_support")
        self._vtk.vtkObject.GlobalWarningDisplayOff()
        self._window = self._vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetAlphaBitPlanes(1)
        self._window.SetMultiSamples(4)
        self._window.SetSize(SIZE, SIZE)

    @contextmanager
    def _empty_stage(self) -> Iterator[Any]:
        stage = self._vtk.vtkRenderer()
        stage.SetBackground(1, 1, 1)
        stage.SetBackgroundAlpha(0)
        self._window.AddRenderer(stage)
        try:
            yield stage
        finally:
            self._window.RemoveRenderer(stage)

    @contextmanager
    def model(self, path: Path) -> Iterator[Any]:
        """Put a Wavefront model on the stage, with its materials where it names a file of them."""
        with self._empty_stage() as stage:
            reader = self._vtk.vtkOBJImporter()
            reader.SetFileName(str(path))
            named = re.search(r"^mtllib\s+(\S.*)$", path.read_text("latin-1"), re.MULTILINE)
            if named and (path.parent / named.group(1).strip()).exists():
                reader.SetFileNameMTL(str(path.parent / named.group(1).strip()))
            reader.SetTexturePath(str(path.parent))
            reader.SetRenderWindow(self._window)
            reader.Update()
            yield stage

    @contextmanager
    def solid(self, solid: Solid) -> Iterator[Any]:
        """Put a printed solid on the stage."""
        vtk = self._vtk
        with self._empty_stage() as stage:
            points, faces, surface = vtk.vtkPoints(), vtk.vtkCellArray(), vtk.vtkPolyData()
            points.SetData(self._numbers.numpy_to_vtk(solid.corners.reshape(-1, 3), deep=True))
            for first in range(0, 4 * len(solid.corners), 4):
                faces.InsertNextCell(4, [first, first + 1, first + 2, first + 3])
            surface.SetPoints(points)
            surface.SetPolys(faces)
            places = self._numbers.numpy_to_vtk(solid.places.reshape(-1, 2), deep=True)
            surface.GetPointData().SetTCoords(places)
            mapper, actor = vtk.vtkPolyDataMapper(), vtk.vtkActor()
            mapper.SetInputData(surface)
            actor.SetMapper(mapper)
            actor.SetTexture(self._texture(np.asarray(solid.print.convert("RGB"))))
            actor.GetProperty().SetInterpolationToFlat()
            actor.GetProperty().SetSpecular(0.25)
            actor.GetProperty().SetSpecularPower(20)
            actor.GetProperty().SetAmbient(0.15)
            stage.AddActor(actor)
            yield stage

    def _texture(self, pixels: Pixels) -> Any:
        image, texture = self._vtk.vtkImageData(), self._vtk.vtkTexture()
        image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
        flat: npt.NDArray[np.uint8] = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
        image.GetPointData().SetScalars(self._numbers.numpy_to_vtk(flat, deep=True))
        texture.SetInputData(image)
        texture.InterpolateOn()
        return texture

    def shot(self, stage: Any, rng: np.random.Generator) -> Pixels:
        """Take a picture from some side, mostly the front, and in some light."""
        turn, rise = rng.normal(0, 50), rng.uniform(-5, 55)
        strong = (*rng.normal(0, 0.6, 2), rng.uniform(0.8, 1.1))
        weak = (*rng.normal(0, 0.6, 2), rng.uniform(0.4, 0.7))
        return self.seen_from(stage, turn, rise, [strong, weak])

    def seen_from(
        self, stage: Any, turn: float, rise: float, lamps: Sequence[tuple[float, float, float]]
    ) -> Pixels:
        """Take a picture.

        Args:
            stage: With something on it.
            turn: Degrees from the front, to the right.
            rise: Degrees above the horizon.
            lamps: How far each is to the right of and above the camera, and its intensity.
        """
        bounds = np.array(stage.ComputeVisiblePropBounds()).reshape(3, 2)
        middle, reach = bounds.mean(1), float(np.linalg.norm(bounds[:, 1] - bounds[:, 0]))
        across, up = np.radians(turn), np.radians(rise)
        away = np.array([np.cos(up) * np.sin(across), np.sin(up), np.cos(up) * np.cos(across)])
        camera = stage.GetActiveCamera()
        camera.SetFocalPoint(*middle)
        camera.SetPosition(*(middle + _AWAY * reach * away))
        camera.SetViewUp(0, 1, 0)
        camera.SetViewAngle(30)
        stage.ResetCameraClippingRange()
        stage.RemoveAllLights()
        for right, above, intensity in lamps:
            light = self._vtk.vtkLight()
            light.SetLightTypeToCameraLight()
            light.SetPosition(right, above, 1)
            light.SetIntensity(intensity)
            stage.AddLight(light)
        self._window.Render()
        grab = self._vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.SetInputBufferTypeToRGBA()
        grab.ReadFrontBufferOff()
        grab.Update()
        flat = self._numbers.vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.ascontiguousarray(flat.reshape(SIZE, SIZE, 4)[::-1])
